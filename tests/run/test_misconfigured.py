"""What is wrong with settings, scans or folders is one line, before any work."""

import json
import shutil

import pytest

from data_prep import DatasetError
from monai_kd.errors import UserError
from tests.run.conftest import run_main_job

pytestmark = pytest.mark.run


@pytest.fixture
def refused(make_workflow, tmp_path):
    """The line that stops the main job with these settings."""

    def refused(**settings):
        workflow = make_workflow(**{"runs_dir": str(tmp_path / "runs"), **settings})
        with pytest.raises(RuntimeError) as stopped:
            workflow.initialize()
        cause = stopped.value
        while not isinstance(cause, UserError | DatasetError):
            cause = cause.__cause__
        assert "\n" not in str(cause)
        return str(cause)

    return refused


def test_a_misspelt_override_ends_the_command_in_one_line_that_names_the_right_one(tmp_path):
    finished = run_main_job(tmp_path / "runs", max_epocs=3)
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr + finished.stdout
    (line,) = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert "'max_epocs'" in line
    assert "did you mean 'max_epochs'?" in line
    assert not (tmp_path / "runs").exists()


def test_a_window_that_no_network_can_take_stops_before_any_work(refused, tmp_path):
    assert "expected 3 multiples of 16" in refused(window=[50, 50, 50])
    assert not (tmp_path / "runs").exists()


def test_a_device_that_is_not_there_stops_before_any_work(refused, tmp_path):
    assert "device is 'cuda:99', and torch" in refused(device="cuda:99")
    assert not (tmp_path / "runs").exists()


def test_a_missing_data_set_stops_and_names_the_folder(refused, tmp_path):
    (tmp_path / "BraTS2019").mkdir()
    line = refused(dataset_dir=str(tmp_path / "BraTS2091"))
    assert "BraTS2091" in line
    assert "BraTS2019" in line
    assert not (tmp_path / "runs").exists()


def test_scans_of_which_none_can_be_used_stop_and_name_a_case_and_its_fault(
    refused, tmp_path, finished_run
):
    shutil.copytree(next(finished_run.runs.glob("phantoms-*")), tmp_path / "scans")
    for victim in (tmp_path / "scans").glob("*/*/*_t1ce.nii.gz"):
        victim.write_bytes(b"")
    line = refused(dataset_dir=str(tmp_path / "scans"))
    assert "no case in" in line
    assert "_t1ce.nii.gz: 0 bytes" in line
    assert not (tmp_path / "runs" / "full").exists()


def test_labels_that_nothing_explains_stop_before_any_work(refused, tmp_path, finished_run):
    label = next(finished_run.runs.glob("phantoms-*/*/*/*_seg.nii.gz"))
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "scans" / folder).mkdir(parents=True)
        shutil.copy(label, tmp_path / "scans" / folder / "case.nii.gz")
    (tmp_path / "scans" / "dataset.json").write_text(json.dumps({"modality": {"0": "MRI"}}))
    assert "nothing says what the labels mean" in refused(dataset_dir=str(tmp_path / "scans"))
    assert not (tmp_path / "runs").exists()


def test_an_output_that_cannot_be_written_stops_before_any_work(refused, tmp_path):
    (tmp_path / "runs").write_text("a file")
    assert f"{tmp_path / 'runs'} is a file" in refused()
    assert (tmp_path / "runs").read_text() == "a file"


def test_changed_settings_do_not_mix_into_a_finished_run(refused, finished_run):
    before = (finished_run.folder / "manifest.json").read_bytes()
    line = refused(runs_dir=str(finished_run.runs), max_epochs=7)
    assert "max_epochs 6, now 7" in line
    assert "--run_name" in line
    assert (finished_run.folder / "manifest.json").read_bytes() == before
