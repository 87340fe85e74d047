import shutil

import pytest

from tests.run.conftest import run_main_job

pytestmark = pytest.mark.run


def stopped_line(finished):
    """The one line on stderr beside MONAI's own warning."""
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr + finished.stdout
    (line,) = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_misspelt_override_stops_and_names_the_right_one(tmp_path):
    line = stopped_line(run_main_job(tmp_path / "runs", max_epocs=3))
    assert "'max_epocs'" in line
    assert "did you mean 'max_epochs'?" in line
    assert not (tmp_path / "runs").exists()


def test_a_window_that_no_network_can_take_stops_before_any_work(tmp_path):
    line = stopped_line(run_main_job(tmp_path / "runs", window="[50,50,50]"))
    assert "three multiples of 16" in line
    assert not (tmp_path / "runs").exists()


def test_a_missing_data_set_stops_and_names_the_folder(tmp_path):
    (tmp_path / "BraTS2019").mkdir()
    line = stopped_line(run_main_job(tmp_path / "runs", dataset_dir=tmp_path / "BraTS2091"))
    assert "BraTS2091" in line
    assert "BraTS2019" in line
    assert not (tmp_path / "runs").exists()


def test_a_missing_modality_stops_and_names_case_and_modality(tmp_path, finished_run):
    shutil.copytree(next(finished_run.runs.glob("phantoms-*")), tmp_path / "scans")
    victim = next((tmp_path / "scans").glob("HGG/*/*_t1ce.nii.gz"))
    victim.unlink()
    line = stopped_line(run_main_job(tmp_path / "runs", dataset_dir=tmp_path / "scans"))
    assert victim.parent.name in line
    assert "t1ce" in line
    assert not (tmp_path / "runs").exists()


def test_an_output_that_cannot_be_written_stops_before_any_work(tmp_path):
    (tmp_path / "runs").write_text("a file")
    line = stopped_line(run_main_job(tmp_path / "runs"))
    assert f"{tmp_path / 'runs'} is a file" in line
    assert (tmp_path / "runs").read_text() == "a file"


def test_changed_settings_do_not_mix_into_a_finished_run(finished_run):
    before = (finished_run.folder / "manifest.json").read_bytes()
    line = stopped_line(run_main_job(finished_run.runs, max_epochs=7))
    assert "max_epochs 6, now 7" in line
    assert "--run_name" in line
    assert (finished_run.folder / "manifest.json").read_bytes() == before
