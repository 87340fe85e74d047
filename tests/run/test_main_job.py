import json
from pathlib import Path

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from monai_kd.data.view_bank.hashing import hash_weights
from monai_kd.experiment.weights import read_weights
from tests.run.conftest import SMALL, run_main_job

pytestmark = pytest.mark.run


def read_json(path):
    return json.loads(path.read_text())


def test_a_killed_run_goes_on_after_its_last_epoch(finished_run):
    history = read_json(finished_run.folder / "student" / "history.json")
    epochs = [record["epoch"] for record in history["records"]]
    assert 0 < finished_run.epochs_before < SMALL["max_epochs"]
    assert epochs == list(range(1, SMALL["max_epochs"] + 1))
    assert "student: resumes after epoch" in finished_run.process.stdout


def test_a_run_leaves_all_it_promises_and_nothing_half_written(finished_run):
    names = {path.name for path in finished_run.folder.iterdir()}
    assert names == {
        "bundle", "config.yaml", "dataset.json", "manifest.json", "metrics.json",
        "report.html", "run.log", "slices.npz", "student", "twin",
    }  # fmt: skip
    for stage in ("student", "twin"):
        files = {path.name for path in (finished_run.folder / stage).iterdir()}
        assert files == {"history.json", "last.pt", "model.pt"}


def test_the_screen_shows_the_table_and_the_paths(finished_run):
    screen = finished_run.process.stdout
    for word in ("teacher", "student", "twin", "TC", "WT", "ET", "params", "MACs", "CPU ms"):
        assert word in screen.split("Dice on the test cases")[1]
    assert "report.html" in screen
    assert "bundle" in screen


def test_the_log_holds_no_error_no_traceback_and_no_warning_but_the_guards(finished_run):
    """One epoch makes no teacher, and the guard says so."""
    log = (finished_run.folder / "run.log").read_text() + finished_run.process.stdout
    assert "ERROR" not in log
    assert "Traceback" not in log
    warnings = [line for line in log.splitlines() if "WARNING" in line]
    assert all("the teacher" in line or "the student" in line for line in warnings), warnings
    warnings = [line for line in finished_run.process.stderr.splitlines() if "Warning" in line]
    assert all("parsing config_file" in line for line in warnings), warnings


def test_every_network_is_scored_on_the_held_back_cases(finished_run):
    metrics = read_json(finished_run.folder / "metrics.json")
    test_cases = {item["case"] for item in read_json(finished_run.folder / "dataset.json")["test"]}
    assert list(metrics["networks"]) == ["teacher", "student", "twin"]
    for network in metrics["networks"].values():
        assert {case["case"] for case in network["cases"]} == test_cases
        assert 0 <= network["score"]["mean"] <= 1
    assert metrics["networks"]["student"]["parameters"] == metrics["networks"]["twin"]["parameters"]


def test_only_the_student_hears_the_teacher(finished_run):
    student, twin = (
        read_json(finished_run.folder / stage / "history.json")["records"][0]["loss"]
        for stage in ("student", "twin")
    )
    assert set(student) - set(twin) == {"boundary"}


def test_the_manifest_names_the_teacher_by_its_unchanged_content(finished_run):
    teacher = read_json(finished_run.folder / "manifest.json")["teacher"]
    folder = Path(teacher["folder"])
    digest = hash_weights(read_weights(folder / "model.pt"))
    assert folder.parent == finished_run.runs
    assert teacher == {"folder": str(folder), "weights_sha256": digest}


def test_the_student_loads_into_the_bare_network_without_pickle(finished_run):
    parser = ConfigParser(yaml.safe_load((finished_run.folder / "config.yaml").read_text()))
    network = parser.get_parsed_content("network_def")
    weights = torch.load(finished_run.folder / "student" / "model.pt", weights_only=True)
    network.load_state_dict(weights)


def test_a_second_run_reuses_the_teacher_and_at_weight_zero_equals_its_twin(finished_run):
    folder = Path(read_json(finished_run.folder / "manifest.json")["teacher"]["folder"])
    before = (folder / "model.pt").stat().st_mtime_ns
    without = {"loss#terms#boundary#weight": 0}
    again = run_main_job(finished_run.runs, run_name="other", max_epochs=2, **without)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "teacher epoch" not in again.stdout
    assert (folder / "model.pt").stat().st_mtime_ns == before
    student, twin = (
        torch.load(finished_run.runs / "other" / stage / "model.pt", weights_only=True)
        for stage in ("student", "twin")
    )
    assert all(twin[name].equal(value) for name, value in student.items())


def test_the_bundle_says_that_its_student_was_trained_on_gaps(finished_run):
    config = yaml.safe_load((finished_run.folder / "config.yaml").read_text())
    metadata = read_json(finished_run.folder / "bundle" / "configs" / "metadata.json")
    assert metadata["modality_dropout"] == config["modality_dropout"] > 0
