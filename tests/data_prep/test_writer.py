import hashlib
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest

from data_prep import DatasetError, write_phantoms
from data_prep.parallel import _end_with_parent
from data_prep.phantom import volumes
from data_prep.phantom.layouts import choose_layout


def _digests(folder):
    files = sorted(path for path in folder.rglob("*.nii.gz"))
    return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_files_are_named_and_stored_as_in_brats(phantoms):
    case = phantoms / "HGG" / "BraTS19_PHANTOM_001_1"
    names = {path.name.removeprefix(case.name) for path in case.iterdir()}
    image = nibabel.load(case / f"{case.name}_t1ce.nii.gz")
    assert names == {f"_{kind}.nii.gz" for kind in ("t1", "t1ce", "t2", "flair", "seg")}
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    assert image.affine[:, 3].tolist() == [0, 31, 0, 1]
    assert image.header.get_zooms() == (1, 1, 1)
    assert image.get_data_dtype() == np.int16


def test_workers_write_the_same_bytes_as_one_process(phantoms, tmp_path):
    parallel = write_phantoms(tmp_path / "parallel", cases=8, size=32, workers=2)
    assert _digests(parallel) == _digests(phantoms)


def test_fewer_cases_are_the_first_of_many(phantoms, tmp_path):
    few = _digests(write_phantoms(tmp_path / "few", cases=2, size=(32, 32, 32), workers=1))
    assert few.items() <= _digests(phantoms).items()
    assert len(few) == 10


def test_a_complete_folder_is_left_alone(own_phantoms):
    before = {path: path.stat().st_mtime_ns for path in own_phantoms.rglob("*")}
    write_phantoms(own_phantoms, cases=8, size=32)
    assert {path: path.stat().st_mtime_ns for path in own_phantoms.rglob("*")} == before


def test_a_lost_file_comes_back(own_phantoms):
    before = _digests(own_phantoms)
    next(own_phantoms.glob("LGG/*/*_t2.nii.gz")).unlink()
    write_phantoms(own_phantoms, cases=8, size=32, workers=1)
    assert _digests(own_phantoms) == before


def test_a_killed_run_leaves_whole_files_and_is_completed(phantoms, tmp_path):
    folder = tmp_path / "killed"
    code = (
        f"import data_prep; data_prep.write_phantoms({str(folder)!r}, cases=8, size=32, workers=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    while not list(folder.glob("HGG/*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _digests(folder / "HGG").items() <= _digests(phantoms / "HGG").items()
    write_phantoms(folder, cases=8, size=32, workers=1)
    for grade in ("HGG", "LGG"):
        assert _digests(folder / grade) == _digests(phantoms / grade)


def test_what_a_killed_run_left_long_ago_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(volumes, "STALE_SECONDS", -1)
    (tmp_path / ".partial-old").mkdir()
    folder = write_phantoms(tmp_path, cases=1, size=32)
    assert sorted(path.name for path in folder.iterdir()) == ["HGG", "phantoms.json"]


def test_a_case_that_another_run_has_written_is_kept(own_phantoms, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in own_phantoms.rglob("*")}
    destination = volumes.Destination(own_phantoms, choose_layout("brats2019"), ".nii.gz")
    volumes.write_case(
        volumes.PhantomCase(0, 0, (32, 32, 32)), destination=destination, staging=tmp_path
    )
    assert {path: path.stat().st_mtime_ns for path in own_phantoms.rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "named"), [({"cases": 9}, "cases 8 not 9"), ({"seed": 1}, "seed 0 not 1")]
)
def test_phantoms_with_other_parameters_are_not_mixed(own_phantoms, change, named):
    with pytest.raises(DatasetError, match=named):
        write_phantoms(own_phantoms, **({"cases": 8, "size": 32} | change))


def test_a_folder_with_other_content_is_refused(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DatasetError, match="not empty and holds no phantoms"):
        write_phantoms(tmp_path, cases=1, size=32)
    with pytest.raises(DatasetError, match="is a file"):
        write_phantoms(tmp_path / "thesis.txt", cases=1, size=32)


@pytest.mark.parametrize(
    "wrong", [{"size": 8}, {"size": (32, 32)}, {"size": 4096}, {"cases": 0}, {"seed": -1}]
)
def test_impossible_parameters_are_named_before_work(tmp_path, wrong):
    with pytest.raises(DatasetError, match="expected"):
        write_phantoms(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_the_main_process_waits_for_no_parent():
    _end_with_parent()
