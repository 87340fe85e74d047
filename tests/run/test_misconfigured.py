import json
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


def test_a_device_that_is_not_there_stops_before_any_work(tmp_path):
    line = stopped_line(run_main_job(tmp_path / "runs", device="cuda:99"))
    assert "device is 'cuda:99', and torch" in line
    assert not (tmp_path / "runs").exists()


def test_a_missing_data_set_stops_and_names_the_folder(tmp_path):
    (tmp_path / "BraTS2019").mkdir()
    line = stopped_line(run_main_job(tmp_path / "runs", dataset_dir=tmp_path / "BraTS2091"))
    assert "BraTS2091" in line
    assert "BraTS2019" in line
    assert not (tmp_path / "runs").exists()


def test_scans_of_which_none_can_be_used_stop_and_name_a_case_and_its_fault(tmp_path, finished_run):
    shutil.copytree(next(finished_run.runs.glob("phantoms-*")), tmp_path / "scans")
    for victim in (tmp_path / "scans").glob("*/*/*_t1ce.nii.gz"):
        victim.write_bytes(b"")
    line = stopped_line(run_main_job(tmp_path / "runs", dataset_dir=tmp_path / "scans"))
    assert "no case in" in line
    assert "_t1ce.nii.gz: 0 bytes" in line
    assert not (tmp_path / "runs" / "full").exists()


def test_scans_of_another_kind_stop_and_say_what_was_expected(tmp_path, finished_run):
    source = next(finished_run.runs.glob("phantoms-*"))
    for number, label in enumerate(sorted(source.glob("*/*/*_seg.nii.gz"))):
        for folder, name in (("imagesTr", "t1"), ("labelsTr", "seg")):
            target = tmp_path / "scans" / folder / f"case_{number}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(label.with_name(label.name.replace("_seg", f"_{name}")), target)
    declared = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "a", "2": "b", "4": "c"},
    }
    (tmp_path / "scans" / "dataset.json").write_text(json.dumps(declared))
    line = stopped_line(run_main_job(tmp_path / "runs", dataset_dir=tmp_path / "scans"))
    assert "has the modalities MRI; this configuration is for t1ce, t1, t2, flair" in line


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


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"loss#terms#hidden#weights": 0.1}, "'weight'"),
        ({"loss#terms#hidden#student_tap": "encoder.33"}, "the nearest is 'encoder.3'"),
        ({"teacher_def": "%bundles/networks.yaml#conv_teacher"}, "has no module 'fusion.fused.3'"),
        ({"loss#terms#hidden#weight": "much"}, "term 'hidden' has the weight 'much', expected a"),
    ],
)
def test_a_pathway_that_does_not_fit_stops_before_any_work(tmp_path, settings, told):
    files = "['bundles/distill.yaml','bundles/pathways/hidden.yaml']"
    line = stopped_line(run_main_job(tmp_path / "runs", config_file=files, **settings))
    assert told in line
    assert not (tmp_path / "runs" / "phantom").exists()
