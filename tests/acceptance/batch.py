"""A batch with bad cases: finished, killed and continued, shared by two; its memory over time.

    python -m tests.acceptance.batch BUNDLE FOLDER [--cases 200] [--bad 20] [--size 48 64 80]

FOLDER must not exist; the section of docs/results.md is told and written to FOLDER/batch.md. The
exit code is 1 where a claim does not hold. Sizes alternate, so that the network sees many shapes.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from tests.acceptance.batch_results import Results, make_batch
from tests.acceptance.watching import PREDICT, Sample, Watched, watch

MIB = 2**20
FLAT = 0.05  # by so much at the most is the last tenth above the second
Row = tuple[str, str, bool]


def main() -> int:
    """Make the batch, run it in each way, tell what holds."""
    options = _parse()
    cases = options.folder / "cases"
    bad = make_batch(cases, options.cases, options.bad, options.size)
    command = [*PREDICT, cases, "--bundle", options.bundle]
    if not options.report:
        command.append("--no-report")
    start = time.perf_counter()
    whole = watch([*command, "-o", options.folder / "whole"], options.folder / "told")
    seconds = time.perf_counter() - start
    results = Results(options.folder / "whole", cases, bad, reports=options.report)
    rows = [*check_results(results, whole), *check_memory(results, whole.samples)]
    rows += check_continued(results, command, options.folder, kill_at=9 * options.cases // 20)
    rows += check_shards(results, command, options.folder)
    page = format_page(rows, options, seconds)
    (options.folder / "batch.md").write_text(page, "utf-8")
    sys.stdout.write(page)
    return 0 if all(holds for *_, holds in rows) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A batch with bad cases, run in several ways.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--bad", type=int, default=20)
    parser.add_argument("--size", type=int, nargs="+", default=[48, 64, 80])
    parser.add_argument("--report", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def check_results(results: Results, run: Watched) -> Iterator[Row]:
    """Tell whether every good case is whole and every bad one is named."""
    good, bad = len(results.good), len(results.bad)
    whole = sum(map(results.is_whole, results.good))
    named = sum(results.names_reason(name, run.errors) for name in results.bad)
    yield f"exit code of the run, {bad} bad cases in it", str(run.exit_code), run.exit_code == 1
    yield (
        "whole results: mask on the scan's voxels, record, page",
        f"{whole} of {good}",
        whole == good,
    )
    yield (
        "bad cases named with their rule, in `left_out` and in one line on stderr",
        (f"{named} of {bad}"),
        named == bad,
    )
    lines = len(run.errors.splitlines())
    yield "lines on stderr", str(lines), lines == bad


def check_memory(results: Results, samples: Sequence[Sample]) -> Iterator[Row]:
    """Compare the memory in the last tenth of the cases with that in the second."""
    records = [results.of(name).record for name in results.good]
    records += [results.of(name).left_out for name in results.bad]
    ends = sorted(path.stat().st_mtime_ns for path in records if path.exists())
    tenth = len(ends) // 10
    for kind in ("resident", "proportional"):
        early = _between(samples, kind, ends[tenth - 1], ends[2 * tenth - 1])
        late = _between(samples, kind, ends[-tenth - 1], ends[-1])
        for name, measure in (("largest", max), ("median", median)):
            growth = measure(late) / measure(early) - 1
            told = f"{measure(early) / MIB:.0f}, {measure(late) / MIB:.0f} MiB ({growth:+.1%})"
            yield f"{kind} memory, second and last tenth, {name}", told, growth <= FLAT
    most = max(sample.resident for sample in samples)
    yield "most resident memory of the run", f"{most / MIB:.0f} MiB", True


def _between(samples: Sequence[Sample], kind: str, start: int, end: int) -> list[int]:
    values = [getattr(sample, kind) for sample in samples if start < sample.time_ns <= end]
    return [value for value in values if value is not None]


def check_continued(
    results: Results, command: Sequence[Any], folder: Path, kill_at: int
) -> Iterator[Row]:
    """Kill a second run in the middle, continue it, and compare the end with the first run's."""
    second = results.at(folder / "killed")
    killed = watch(
        [*command, "-o", second.output],
        folder / "told",
        stop_when=lambda: sum(map(second.is_there, second.good)) >= kill_at,
    )
    before = {name: second.freeze(name) for name in second.good if second.is_there(name)}
    goes_on = watch([*command, "-o", second.output, "--continue"], folder / "told")
    kept = sum(second.freeze(name) == frozen for name, frozen in before.items())
    yield (
        "exit code of a run killed by SIGKILL, and of `--continue`",
        (f"{killed.exit_code}, {goes_on.exit_code}"),
        (killed.exit_code, goes_on.exit_code) == (-9, 1),
    )
    yield (
        "whole results before the kill; the same bytes and times after",
        (f"{len(before)}; {kept}"),
        kept == len(before) > 0,
    )
    yield from _compare("killed and continued", results, second)


def check_shards(results: Results, command: Sequence[Any], folder: Path) -> Iterator[Row]:
    """Let two runs share the batch at the same time."""
    shared = results.at(folder / "shared")
    commands = [[*command, "-o", shared.output, "--shard", f"{i}/2"] for i in (1, 2)]
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(watch, commands, [folder / "told-1", folder / "told-2"]))
    seconds = time.perf_counter() - start
    done = [
        name
        for run in runs
        for name in results.names
        if any(line.startswith(f"{name}  WT") for line in run.output.splitlines())
        or any(f"ERROR {name}:" in line for line in run.errors.splitlines())
    ]
    yield (
        "two shards at once: cases done once",
        f"{len(done)}, in {seconds:.0f} s",
        (sorted(done) == results.names),
    )
    yield from _compare("two shards", results, shared)


def _compare(what: str, first: Results, other: Results) -> Iterator[Row]:
    good, names = first.good, first.names
    masks = sum(first.of(n).label.read_bytes() == other.of(n).label.read_bytes() for n in good)
    yield f"{what}: masks of the same bytes", f"{masks} of {len(good)}", masks == len(good)
    records = sum(first.record(name) == other.record(name) for name in names)
    yield f"{what}: same records but for times", f"{records} of {len(names)}", records == len(names)
    same = first.summary() == other.summary()
    yield f"{what}: same summary but for times", "yes" if same else "no", same
    left = [path.name for path in other.output.rglob(".*")]
    yield f"{what}: temporary files and locks left", str(len(left)), not left


def format_page(rows: Sequence[Row], options: argparse.Namespace, seconds: float) -> str:
    """The section of docs/results.md."""
    sizes = ", ".join(f"{size}^3" for size in options.size)
    lines = [f"| {what} | {told} | {'yes' if holds else '**no**'} |" for what, told, holds in rows]
    return "\n".join(
        [
            f"## A batch of {options.cases}",
            "",
            f"`python -m tests.acceptance.batch BUNDLE FOLDER`: {options.cases} phantoms of "
            f"{sizes} voxels in turn, {options.bad} of them damaged in as many ways. The first run "
            f"took {seconds:.0f} s; its memory was sampled from outside, every 20 ms.",
            "",
            "| what | measured | as required |",
            "| --- | --- | --- |",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
