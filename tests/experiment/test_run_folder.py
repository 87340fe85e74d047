import json
import logging

import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow

from monai_kd.experiment import ExperimentError, RunFolder
from monai_kd.experiment.run_folder import _name_differences, log_to_file

TRAINING = [{"fold": 1}, {"fold": 1}, {"fold": 0}]
DATASET = {"sha256": "abc", "training": TRAINING, "test": [{}], "left_out": {"bad": ["why"]}}


@pytest.fixture
def open_run(tmp_path):
    """Open a run folder from inside a workflow, as a bundle does."""

    def open_run(*, resume="auto", dataset=DATASET, **overrides):
        config = {
            "imports": ["$import monai_kd.experiment as experiment"],
            "max_epochs": 3,
            "run": {
                "_target_": "monai_kd.experiment.RunFolder",
                "folder": str(tmp_path / "runs" / "demo"),
                "resume": resume,
                "seed": 7,
                "settings": {"max_epochs": "@max_epochs"},
            },
            "dataset_file": str(tmp_path / "dataset.json"),
            "initialize": ["$@run.check()", "$@run.open(@dataset_file, cases={'training': 2})"],
            "training": ["$@max_epochs"],
            **overrides,
        }
        (tmp_path / "dataset.json").write_text(json.dumps(dataset))
        (tmp_path / "demo.yaml").write_text(yaml.safe_dump(config))
        ConfigWorkflow(str(tmp_path / "demo.yaml"), logging_file=False).initialize()
        return tmp_path / "runs" / "demo"

    return open_run


def message(error):
    return str(error.value.__cause__)


def test_manifest_tells_versions_seed_hashes_command_and_cases(open_run):
    manifest = json.loads((open_run() / "manifest.json").read_text())
    assert {"config_hash", "command", "versions", "created", "device"} <= set(manifest)
    assert manifest["seed"] == 7
    assert manifest["data_hash"] == "abc"
    assert manifest["cases"] == {"training": 2}
    assert manifest["left_out"] == ["bad"]
    assert manifest["settings"]["max_epochs"] == 3


def test_the_same_settings_open_the_same_run_again(open_run):
    created = json.loads((open_run() / "manifest.json").read_text())["created"]
    assert json.loads((open_run() / "manifest.json").read_text())["created"] == created


def test_other_settings_are_refused_and_named(open_run):
    open_run()
    with pytest.raises(RuntimeError) as error:
        open_run(max_epochs=4)
    assert "max_epochs 3, now 4" in message(error)
    assert "--run_name" in message(error)


def test_another_setting_within_another_is_named_by_its_id(open_run):
    settings = {weight: {"terms": {"boundary": {"weight": weight}}} for weight in (0.5, 1.0)}
    open_run(loss=settings[0.5], training=["$@loss"])
    with pytest.raises(RuntimeError) as error:
        open_run(loss=settings[1.0], training=["$@loss"])
    assert "(loss#terms#boundary#weight 0.5, now 1.0)" in message(error)


def test_other_scans_are_refused(open_run):
    open_run()
    with pytest.raises(RuntimeError) as error:
        open_run(dataset={**DATASET, "sha256": "def"})
    assert "other scans" in message(error)


def test_resume_never_starts_anew(open_run):
    folder = open_run()
    (folder / "student").mkdir()
    (folder / "report.html").touch()
    open_run(resume="never", max_epochs=4)
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "manifest.json"}


def test_log_lines_go_to_the_run_opened_last_only(tmp_path):
    for name in ("first", "second"):
        log_to_file(tmp_path / f"{name}.log")
        logging.getLogger("test").error("line of %s", name)
    log_to_file(tmp_path / "nowhere.log")
    assert "line of first" in (tmp_path / "first.log").read_text()
    assert "second" not in (tmp_path / "first.log").read_text()


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ExperimentError, match="is not a run"):
        RunFolder(str(tmp_path)).check()
    assert (tmp_path / "thesis.tex").exists()


def test_a_data_set_with_its_own_datalist_is_no_run(tmp_path):
    (tmp_path / "dataset.json").touch()
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(ExperimentError, match="is not a run"):
        RunFolder(str(tmp_path), resume="never").check()


def test_leftovers_of_a_killed_run_neither_bar_its_name_nor_stay(open_run, tmp_path):
    leftover = tmp_path / "runs" / "demo" / "student" / ".last-abc.pt"
    leftover.parent.mkdir(parents=True)
    (tmp_path / "runs" / "demo" / ".partial-x").mkdir()
    leftover.touch()
    (tmp_path / "runs" / "demo" / "manifest.json").write_text("{}")
    folder = open_run()
    assert not leftover.exists()
    assert not (folder / ".partial-x").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "runs").touch()
    with pytest.raises(ExperimentError, match="runs is a file"):
        RunFolder(str(tmp_path / "runs" / "demo")).check()


def test_an_unwritable_place_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ExperimentError, match="not writable; choose another place"):
        RunFolder(str(tmp_path / "demo")).check()
    assert not (tmp_path / "demo").exists()


def test_an_unknown_way_to_resume_is_named():
    with pytest.raises(ExperimentError, match="resume is 'maybe'"):
        RunFolder("runs/demo", resume="maybe").check()


def test_a_teacher_is_known_by_its_tensors_wherever_they_lie(tmp_path):
    run, weights = RunFolder(str(tmp_path / "demo")), {"weight": torch.ones(2)}
    for path in (tmp_path / "model.pt", tmp_path / "copied.pt"):
        torch.save(weights, path)  # writes the file's own name into it
        run.record_teacher(path)
    assert len(run.read_manifest()["teacher"]["weights_sha256"]) == 64


def test_a_run_goes_on_with_the_teacher_that_it_began_with(tmp_path):
    run, path = RunFolder(str(tmp_path / "demo")), tmp_path / "model.pt"
    torch.save({"weight": torch.ones(2)}, path)
    run.record_teacher(path)
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(ExperimentError, match=r"with another teacher: .*--resume never"):
        run.record_teacher(path)


def test_of_many_differing_settings_the_first_are_named_and_the_others_counted(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("".join(f"{name}: 1\n" for name in "abcdefg"))
    line = _name_differences(path, dict.fromkeys("abcdefg", 2))
    assert line == "a 1, now 2; b 1, now 2; c 1, now 2; d 1, now 2; and 3 more"
