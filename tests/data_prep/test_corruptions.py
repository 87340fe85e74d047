"""Each way to spoil a case, through the command, in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest

from data_prep import DatasetError
from data_prep.__main__ import main
from tests.damage import CORRUPTIONS, ODDITIES, corrupt

SPOILT = "BraTS19_PHANTOM_001_1"
NEIGHBOURS = {"BraTS19_PHANTOM_002_1", "BraTS19_PHANTOM_003_1"}
PROCESSES = get_context("forkserver")  # a process each, without a second of imports each
PROCESSES.set_forkserver_preload(["pytest", "data_prep.__main__"])
NAMELESS = {"missing-modality", "misspelt", "folder", "colliding-names", "no-label"}


@dataclass(frozen=True)
class Outcome:
    """What the command said, wrote and left alone."""

    code: int
    stdout: str
    stderr: str
    report: dict
    page: str
    written: list[str]
    untouched: bool


@pytest.fixture(scope="module")
def three_phantoms(phantoms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    for case in sorted(phantoms.glob("HGG/*"))[:3]:
        shutil.copytree(case, folder / "HGG" / case.name)
    return folder


@pytest.fixture(scope="module")
def outcomes(three_phantoms, tmp_path_factory):
    """The outcome of the command for each way, each in a process of its own."""
    root = tmp_path_factory.mktemp("ways")
    ways = [*CORRUPTIONS, *ODDITIES]
    return {way: _check(three_phantoms, root / way, way) for way in ways}


def _check(source, root, way):
    scans, out = shutil.copytree(source, root / "scans"), root / "out"
    corrupt(scans, SPOILT, way)
    before = _listing(scans)
    process = PROCESSES.Process(target=_run, args=(scans, out, root))
    process.start()
    process.join(120)
    return Outcome(
        process.exitcode,
        (root / "stdout").read_text(),
        (root / "stderr").read_text(),
        json.loads((out / "check.json").read_text()),
        (out / "check.html").read_text(),
        sorted(path.name for path in out.iterdir()),
        _listing(scans) == before,
    )


def _arguments(scans, out):
    return ["check", str(scans), "--json", str(out / "check.json"), "--html", f"{out}/check.html"]


def _run(scans, out, root):
    """The command in this process, which is a new one, with all that it says in files."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(root / name, os.O_WRONLY | os.O_CREAT), number)
    sys.exit(main(_arguments(scans, out)))


def _listing(folder):
    entries = sorted(folder.rglob("*"))
    return [(entry, entry.lstat().st_size, entry.lstat().st_mtime_ns) for entry in entries]


def test_there_are_forty_ways_at_least():
    assert len(CORRUPTIONS) >= 40


@pytest.mark.parametrize("way", CORRUPTIONS)
def test_a_corruption_is_told_with_file_and_mend_in_three_lines(outcomes, way):
    outcome, rule = outcomes[way], CORRUPTIONS[way].rule
    told = outcome.stderr if rule.severity == "error" else outcome.stdout
    assert outcome.code == (1 if rule.severity == "error" else 0)
    assert len(outcome.stderr.splitlines()) <= 3
    line = next(line for line in told.splitlines() if f"[{rule.code}]" in line)
    assert rule.fix in line
    assert ".nii" in line or way in NAMELESS


@pytest.mark.parametrize("way", CORRUPTIONS)
def test_neighbours_of_a_corrupted_case_stay_usable(outcomes, way):
    report = outcomes[way].report
    assert set(report["usable"]) >= NEIGHBOURS
    spoilt = {record["case"] for record in report["findings"] if record["severity"] == "error"}
    assert set(report["left_out"]) == spoilt
    assert CORRUPTIONS[way].rule.code in {record["code"] for record in report["findings"]}


@pytest.mark.parametrize("way", [*CORRUPTIONS, *ODDITIES])
def test_reports_are_whole_and_scans_left_alone(outcomes, way):
    outcome = outcomes[way]
    assert outcome.written == ["check.html", "check.json"]
    assert outcome.page.rstrip().endswith("</html>")
    assert outcome.untouched


@pytest.mark.parametrize("way", ODDITIES)
def test_an_oddity_passes_without_a_word(outcomes, way):
    outcome = outcomes[way]
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.report["findings"] == []
    assert len(outcome.report["usable"]) == 3


@pytest.mark.parametrize("way", ["bit-rot", "outlier"])
def test_the_command_as_it_is_typed_says_the_same(outcomes, three_phantoms, tmp_path, way):
    scans = shutil.copytree(three_phantoms, tmp_path / "scans")
    corrupt(scans, SPOILT, way)
    command = [sys.executable, "-m", "data_prep", *_arguments(scans, tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == outcomes[way].code
    assert done.stderr == outcomes[way].stderr
    assert done.stdout.splitlines()[1:] == outcomes[way].stdout.splitlines()[1:]


def test_an_unknown_way_names_the_nearest(tmp_path):
    with pytest.raises(DatasetError, match=r"did you mean bit-rot\?"):
        corrupt(tmp_path, SPOILT, "bit-rott")


def test_a_way_like_none_lists_all(tmp_path):
    with pytest.raises(DatasetError, match="known are truncated-gzip"):
        corrupt(tmp_path, SPOILT, "xyz")


def test_a_case_that_is_not_there_is_told(own_phantoms):
    with pytest.raises(DatasetError, match="no case Nobody"):
        corrupt(own_phantoms, "Nobody", "bit-rot")


def test_corrupting_one_case_leaves_the_others(own_phantoms):
    others = [path for path in own_phantoms.rglob("*.nii.gz") if SPOILT not in path.name]
    before = [Path(path).read_bytes() for path in others]
    corrupt(own_phantoms, SPOILT, "micrometres")
    assert [path.read_bytes() for path in others] == before
