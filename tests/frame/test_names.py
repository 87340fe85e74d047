"""The task is data: no part of a tumour, sequence, organ or data set has its name in monai_kd."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {
    "regions": "tc wt et whole_tumour tumour tumor oedema edema necrosis necrotic enhancing",
    "sequences": "t1 t1ce t1c t1n t1w t1gd t2 t2w t2f flair",
    "organs": "brain skull breast liver spleen kidney pancreas prostate lung hippocampus",
    "data sets": "brats msd decathlon synapse busi figshare acdc",
}
ROOMS = sorted(path.name for path in (ROOT / "monai_kd").glob("[!_]*"))
PARTS = re.compile(r"BraTS|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")


def list_names(source: str) -> Iterator[str]:
    """What stands in code: identifiers, attributes, arguments, and strings, docstrings as well."""
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "attr", "arg", "name", "asname"):
            yield str(getattr(node, field, None) or "").removeprefix("data_prep.brats")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.replace("et al.", "")


def find_words(source: str) -> set[str]:
    """Those of the names that stand in the code as words of their own, in any writing."""
    forbidden = {word for words in NAMES.values() for word in words.split()}
    words = {part.lower() for name in list_names(source) for part in PARTS.findall(name)}
    return words & forbidden


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("REGIONS = ('TC',)", "tc"),
        ("def segment_brain(): ...", "brain"),
        ("class SkullStripper: ...", "skull"),
        ("def read(*, t1ce): ...", "t1ce"),
        ("scan.flair", "flair"),
        ("x = 'BraTS 2021'", "brats"),
        ("'''Finds the tumour.'''", "tumour"),
    ],
)
def test_a_planted_name_is_found(code, word):
    assert find_words(code) == {word}


def test_words_that_only_contain_one_are_none():
    assert not find_words("TCPServer(target, 'Smith et al., meta-data', spotted=1)")


@pytest.mark.parametrize("room", ROOMS)
def test_no_name_of_one_task_stands_in_monai_kd(room):
    place = ROOT / "monai_kd" / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place] * (place.suffix == ".py")
    found = {path.relative_to(ROOT): find_words(path.read_text("utf-8")) for path in files}
    assert not {str(path): words for path, words in found.items() if words}
