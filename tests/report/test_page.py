import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from monai_kd.report import write_figure, write_report
from monai_kd.report.words import format_verdict

ADDRESS = re.compile(r"""(?:src|href|url|@import)\s*[=(]\s*["']?(?!data:|#)[^"')\s]""")
VOID = {"meta", "link", "img", "br"}


class OpenTags(HTMLParser):
    """Keeps the tags that are open, and counts the images without words."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wordless = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what has to be closed."""
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img" and not dict(attrs).get("alt"):
            self.wordless += 1

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(finished_run: Path) -> str:
    return write_report(finished_run).read_text(encoding="utf-8")


def test_page_opens_with_the_verdict(page: str, finished_run: Path) -> None:
    verdict = format_verdict(json.loads((finished_run / "metrics.json").read_text()))
    assert page.index(verdict) < page.index("<table")


def test_page_asks_the_network_for_nothing(page: str) -> None:
    assert not ADDRESS.search(page)
    assert "<script" not in page


def test_page_is_well_formed_and_says_every_image_in_words(page: str) -> None:
    parser = OpenTags()
    parser.feed(page)
    assert parser.open == []
    assert parser.wordless == 0


def test_page_escapes_what_it_is_given(page: str) -> None:
    assert "phantoms &lt;b&gt;" in page
    assert "phantoms <b>" not in page


def test_page_shows_every_case_network_and_setting(page: str) -> None:
    assert page.count("data:image/png;base64,") == 2 * 5
    assert page.count("<svg") == 1 + 3
    for words in ("glioma_2", "max_epochs", "c0ffee", "TC tumour core", "soft label"):
        assert words in page


def test_same_run_gives_the_same_page(page: str, finished_run: Path) -> None:
    assert write_report(finished_run).read_text(encoding="utf-8") == page


def test_page_of_an_unmeasured_run_says_so(run_dir: Path) -> None:
    metrics = json.loads((run_dir / "metrics.json").read_text())
    for network in metrics["networks"].values():
        network["score"] = dict.fromkeys(network["score"])
        network["history"] = [entry | {"score": None} for entry in network["history"]]
    (run_dir / "metrics.json").write_text(json.dumps(metrics))
    assert "says nothing about distillation" in write_report(run_dir).read_text()


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_figure_is_written_as_its_name_says(
    finished_run: Path, suffix: str, start: bytes, tmp_path: Path
) -> None:
    figure = write_figure(finished_run, tmp_path / "docs" / f"figure{suffix}", rows=1)
    assert figure.read_bytes().startswith(start)
