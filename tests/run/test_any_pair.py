import json

import pytest
import torch

from monai_kd.data.view_bank.hashing import hash_weights
from monai_kd.experiment.weights import read_weights
from tests.run.conftest import run_main_job

pytestmark = pytest.mark.run


@pytest.fixture
def run_example(finished_run, tmp_path):
    """Run an example for two epochs on the phantoms of the finished run; its folder."""

    def run(name, **overrides):
        files = str(["bundles/distill.yaml", f"bundles/examples/{name}.yaml"])
        places = {"config_file": files, "run_name": tmp_path.name}
        finished = run_main_job(finished_run.runs, **places, max_epochs=2, **overrides)
        assert finished.returncode == 0, finished.stderr[-3000:]
        return finished_run.runs / tmp_path.name

    return run


def read_json(path):
    return json.loads(path.read_text())


def assert_distilled(folder, *, projector):
    """Three networks are compared, and every weight of student and projector has moved."""
    assert list(read_json(folder / "metrics.json")["networks"]) == ["teacher", "student", "twin"]
    parts = torch.load(folder / "student/last.pt", weights_only=True)["parts"]
    held = sum(len(group["params"]) for group in parts["optimizer"]["param_groups"])
    moved = [state for state in parts["optimizer"]["state"].values() if state["exp_avg"].any()]
    twin = torch.load(folder / "twin/last.pt", weights_only=True)["parts"]["network"]
    assert len(moved) == held > len(parts["loss"])
    assert any(not twin[name].equal(value) for name, value in parts["network"].items())
    assert {name.split(".")[1] for name in parts["loss"]} == ({projector} if projector else set())


def test_swin_unetr_teaches_our_student(run_example):
    folder = run_example("swin_unetr")
    assert_distilled(folder, projector="hidden_regressor")
    history = read_json(folder / "student/history.json")["records"]
    assert history[1]["loss"]["hidden_regressor"] < history[0]["loss"]["hidden_regressor"]


def test_two_seg_res_nets_teach_a_basic_unet_that_is_packed_as_a_bundle(run_example):
    folder = run_example("ensemble")
    assert_distilled(folder, projector="stage_heads")
    packed = read_json(folder / "bundle/configs/inference.json")["network_def"]
    assert packed["_target_"] == "BasicUNet"
    teacher = torch.load(
        read_json(folder / "manifest.json")["teacher"]["folder"] + "/model.pt", weights_only=True
    )
    first, second = (f"networks.{member}.convInit.conv.weight" for member in (0, 1))
    assert not teacher[first].equal(teacher[second])


def test_a_bundle_from_the_zoo_teaches_and_is_left_as_it_was(run_example, finished_run):
    bundle = finished_run.folder / "bundle"
    weights = (bundle / "models/model.pt").read_bytes()
    folder = run_example("zoo_teacher", teacher_bundle=bundle)
    assert_distilled(folder, projector=None)
    assert read_json(folder / "metrics.json")["networks"]["teacher"]["history"] == []
    teacher = read_json(folder / "manifest.json")["teacher"]
    assert teacher["weights_sha256"] == hash_weights(read_weights(bundle / "models/model.pt"))
    assert (bundle / "models/model.pt").read_bytes() == weights
