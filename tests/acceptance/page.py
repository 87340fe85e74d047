"""How soon the page of a case opens in a browser that has no GPU: a Markdown table.

    python -m tests.acceptance.page BUNDLE FOLDER [--size 240 240 155] [--rounds 5]

A phantom is segmented by `monai-kd predict`. Chromium, drawing by software, opens its page as the
first of a fresh browser, and once more: until the viewer has drawn and the page answers.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import sync_playwright

from data_prep import write_phantoms
from monai_kd import cli
from tests.acceptance.browser import CHROMIUM, SOFTWARE_GL, open_browser


def main() -> None:
    """Segment, open, tell."""
    options = _parse()
    if not CHROMIUM:
        raise SystemExit("no Chromium: apt-get install chromium")
    cases = write_phantoms(options.folder / "cases", cases=1, size=tuple(options.size))
    output, bundle = str(options.folder / "results"), str(options.bundle)
    cli.main(["predict", str(cases), "-o", output, "--bundle", bundle, "--overwrite", "--quiet"])
    (page,) = Path(output).glob("*_report.html")
    times = [_open(page) for _ in range(options.rounds)]
    rows = ["| page of a case | seconds, median | from | to |", "|---|---|---|---|"]
    for name, seconds in zip(
        ("first of a browser", "again"), zip(*times, strict=True), strict=True
    ):
        rows.append(f"| {name} | {median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f} |")
    told = f"{page.stat().st_size / 1e6:.1f} MB, {options.rounds} browsers in turn."
    sys.stdout.write("\n".join([*rows, "", told]) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="a packed bundle")
    parser.add_argument("folder", type=Path, help="for the phantom and its page")
    parser.add_argument("--size", type=int, nargs=3, default=(240, 240, 155))
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def _open(page: Path) -> tuple[float, float]:
    with sync_playwright() as playwright, open_browser(playwright, *SOFTWARE_GL) as browser:
        marks = [time.perf_counter()]
        for _ in range(2):
            browser.open(page)
            marks.append(time.perf_counter())
        if browser.ask("document.documentElement.dataset.viewer") != "ready":
            raise SystemExit(f"the viewer has failed: {browser.faults}")
    return marks[1] - marks[0], marks[2] - marks[1]


if __name__ == "__main__":
    main()
