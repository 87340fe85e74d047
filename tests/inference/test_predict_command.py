"""The command as a person gives it: on small phantoms, with a student of random weights."""

import gzip
import shutil
import signal
import subprocess
import sys
import time
from errno import ENOSPC
from pathlib import Path

import pytest

from data_prep import write_phantoms
from monai_kd.inference.results.result_files import read_record
from monai_kd.inference.running import case_run
from tests.damage import corrupt
from tests.damage.command import ROOT, list_masks
from tests.inference.bundled import change_facts

CASES = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_phantoms(
        tmp_path_factory.mktemp("made") / "cases", cases=CASES, size=32, workers=1
    )


@pytest.fixture
def cases(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "cases"))


@pytest.fixture
def predict(bundle, out, run):
    fixed = ["-o", out, "--bundle", bundle, "--threads", "1", "--no-report"]
    return lambda *words: run("predict", *fixed, *words)


def _names(root):
    return sorted(path.name for path in root.glob("*/*"))


def _stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*_seg.nii.gz")}


def test_every_case_gets_mask_and_record_and_the_folder_a_summary(predict, cases, out):
    code, told, faults = predict(cases)
    assert (code, faults) == (0, [])
    assert list_masks(out) == _names(cases)
    assert all(read_record(out / f"{name}.json")["case"] == name for name in _names(cases))
    assert {"summary.csv", "index.html", "predict.log"} <= {path.name for path in out.iterdir()}
    assert len([line for line in told if " WT " in line]) == CASES
    assert len([line for line in told if "not calibrated" in line]) == 1
    name = _names(cases)[0]
    assert f"{name}  t1ce t1 t2 flair found (BraTS 2017-2021)  1 mm" in told


def test_a_traceback_is_in_the_log_and_with_debug_on_the_screen(predict, cases, out):
    corrupt(cases, "BraTS19_PHANTOM_002_1", "zero-bytes")
    _, _, quiet = predict(cases)
    assert not any("Traceback" in line for line in quiet)
    assert "Traceback" in (out / "predict.log").read_text()
    assert any("Traceback" in line for line in predict(cases, "--overwrite", "--debug")[2])


@pytest.fixture
def predict_with_gaps(own_bundle, out, run):
    """By a student of modality dropout."""
    change_facts(own_bundle, modality_dropout=0.3)
    return lambda *words: run("predict", *words, "-o", out, "--bundle", own_bundle, "--no-report")


def test_a_student_of_modality_dropout_takes_what_is_there(predict_with_gaps, cases, out):
    folder = next(cases.glob("HGG/*"))
    next(folder.glob("*_t2.nii.gz")).unlink()
    assert predict_with_gaps(folder)[0] == 0
    assert read_record(out / f"{folder.name}.json")["missing"] == ["t2"]
    code, told, _ = predict_with_gaps(folder, "--strict", "--overwrite")
    assert code == 1
    assert "CHECK: t2 missing" in told[-1]


def test_a_sequence_that_was_empty_and_is_replaced_has_the_case_done_again(
    predict_with_gaps, cases, out
):
    folder = next(cases.glob("HGG/*"))
    corrupt(cases, folder.name, "all-zero")
    assert predict_with_gaps(folder)[0] == 0
    ((empty, known),) = read_record(out / f"{folder.name}.json")["empty"].items()
    assert predict_with_gaps(folder, "--continue")[1][-1].endswith("whole, kept")
    other = next(path for path in folder.glob("*.nii.gz") if f"_{empty}." not in path.name)
    shutil.copy(other, folder / known["file"])
    told = predict_with_gaps(folder, "--continue")[1]
    assert any("done again" in line for line in told)


def test_existing_results_are_refused_before_any_work(predict, cases, out):
    predict(cases)
    before = _stamps(out)
    code, told, faults = predict(cases)
    assert (code, told, len(faults)) == (2, [], 1)
    assert "--continue" in faults[0]
    assert _stamps(out) == before


def test_a_mask_of_someone_else_is_never_replaced(predict, cases, out):
    name = _names(cases)[0]
    out.mkdir()
    (out / f"{name}_seg.nii.gz").write_bytes(b"by hand")
    assert predict(cases)[0] == 2
    assert (out / f"{name}_seg.nii.gz").read_bytes() == b"by hand"


def test_going_on_redoes_only_what_is_not_whole_or_no_longer_true(predict, cases, out):
    predict(cases)
    before = _stamps(out)
    unfinished, changed, *kept = _names(cases)
    (out / f"{unfinished}.json").unlink()
    scan = next(cases.glob(f"*/{changed}/*_t2.nii.gz"))
    scan.write_bytes(gzip.compress(gzip.decompress(scan.read_bytes()), 1))
    code, told, _ = predict(cases, "--continue")
    after = _stamps(out)
    assert code == 0
    assert {name for name in before if before[name] != after[name]} == {
        f"{name}_seg.nii.gz" for name in (unfinished, changed)
    }
    assert f"{changed}  done again: {scan.name} has changed" in told
    assert all(f"{name}  whole, kept" in told for name in kept)


def test_a_scan_of_a_kept_case_is_known_again(predict, cases, out):
    one, other = sorted(cases.glob("HGG/*"))[:2]
    for scan in other.glob("*.nii.gz"):
        modality = scan.name.rsplit("_", 1)[1]
        shutil.copy(next(one.glob(f"*_{modality}")), scan)
    assert predict(one, other, "--dry-run", "--strict")[0] == 1
    assert predict(one, "--strict")[0] == 0
    code, told, _ = predict(one, other, "--continue", "--strict")
    assert code == 1
    assert any(other.name in line and "[E601]" in line for line in told)


def test_a_dry_run_refuses_what_the_run_would(predict, cases, out, monkeypatch):
    monkeypatch.setattr("monai_kd.inference.segmenting.windows.count_voxels", lambda *_: 16**3)
    monkeypatch.setattr("monai_kd.inference.running.dry_run.count_voxels", lambda *_: 16**3)
    folder = next(cases.glob("HGG/*"))
    (rehearsed, told), (done, faults) = (
        predict(folder, *words)[::2] for words in (["--dry-run"], [])
    )
    assert rehearsed == done == 3
    assert told == faults
    assert "not enough memory for the smallest window" in told[0]


def test_shards_fill_one_folder_with_one_summary(predict, cases, out):
    assert [predict(cases, "--shard", f"{part}/3")[0] for part in (3, 1, 2)] == [0, 0, 0]
    assert len(list_masks(out)) == CASES
    assert (out / "summary.csv").read_text().count("\n") == CASES + 1


def test_a_dry_run_tells_window_and_time_and_writes_nothing(predict, cases, out):
    corrupt(cases, "BraTS19_PHANTOM_002_1", "zero-bytes")
    code, told, faults = predict(cases, "--dry-run")
    assert (code, len(faults)) == (1, 1)
    assert sum("window of" in line and "about" in line for line in told) == CASES - 1
    assert not out.exists()


def test_probabilities_and_labels_come_as_asked(predict, cases, out):
    folder = next(cases.glob("HGG/*"))
    assert predict(folder, "--probabilities", "--labels", "brats2021")[0] == 0
    record = read_record(out / f"{folder.name}.json")
    assert set(record["labels"]["values"]) == {"1", "2", "4"}
    assert len(list(out.glob("*_probability.nii.gz"))) == 3


@pytest.mark.parametrize("place", ["cases", "cases/out", "cases/HGG/../out"])
def test_results_never_lie_among_the_scans(predict, cases, place):
    before = sorted(cases.rglob("*"))
    code, _, (told,) = predict(cases, "-o", cases.parent / place)
    assert code == 2
    assert "lies in the input" in told
    assert sorted(cases.rglob("*")) == before


@pytest.mark.parametrize("place", ["file", "file/below", "loop", "/proc/nowhere"])
def test_an_output_that_cannot_be_a_folder_is_one_line(predict, made, tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    code, _, faults = predict(made, "-o", tmp_path / place)
    assert (code, len(faults)) == (2, 1)


@pytest.mark.parametrize(
    "words",
    [["--bogus"], ["--shard", "5/4"], ["--max-ram", "6"], ["--continue", "--overwrite"]],
)
def test_a_wrong_option_is_two_lines_and_exit_code_two(predict, made, words, capsys):
    with pytest.raises(SystemExit) as end:
        predict(made, *words)
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_full_disk_in_the_middle_leaves_whole_files_and_tries_no_more(
    predict, cases, out, monkeypatch
):
    predict(cases, "--shard", "1/4")

    def full(*_):
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(case_run, "write_json", full)
    code, _, faults = predict(cases, "--continue")
    assert code == 1
    assert "no space left" in faults[0]
    assert faults[1].startswith("2 of 4 cases were not tried")
    assert len(list_masks(out)) == 1


def _start(made, out, bundle):
    command = [sys.executable, "-m", "monai_kd.cli", "predict", str(made), "-o", str(out)]
    command += ["--bundle", str(bundle), "--no-report", "--threads", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **pipes)


def _wait_for_a_result(process):
    for line in process.stdout:
        if " WT " in line:
            return


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_leaves_whole_files_one_line_and_its_exit_code(bundle, out, scans, times):
    process = _start(scans, out, bundle)
    _wait_for_a_result(process)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, faults = process.communicate(timeout=60)
    assert process.returncode == 130
    assert faults.count("\n") == 1
    assert "run the same command with --continue to resume" in faults
    assert len(list_masks(out)) == len(list(out.glob("*.json"))) < len(_names(scans))
    assert not list(out.glob(".*"))
