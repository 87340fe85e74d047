"""Any teacher and any student: MONAI's own, an ensemble, a bundle of the model zoo."""

import json
import shutil

import pytest
import torch

from monai_kd.data.view_bank.hashing import hash_weights
from monai_kd.experiment.weights import read_weights
from tests.run.conftest import run_main_job

pytestmark = pytest.mark.run
TEACH = ["$@teacher_stage.run()", "$experiment.load_weights(@teacher, @teacher_stage.checkpoint)"]
LEARN = "$@train#trainer.run()"


def read_json(path):
    return json.loads(path.read_text())


def assert_all_learn(parser, *, projector):
    """Every weight that the optimiser holds has moved, those of the projector among them."""
    optimizer, loss = parser.get_parsed_content("optimizer"), parser.get_parsed_content("loss")
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert all(optimizer.state[parameter]["exp_avg"].any() for parameter in held)
    assert len(held) > len(list(loss.parameters())) > 0
    assert {name.split(".")[1] for name in loss.state_dict()} == {projector}


def test_swin_unetr_teaches_our_student(start):
    workflow = start("examples/swin_unetr", max_epochs=2, teacher_history=None, finalize=[LEARN])
    workflow.finalize()
    assert_all_learn(workflow.parser, projector="hidden_regressor")
    first, second = workflow.parser.get_parsed_content("history").records
    assert second["loss"]["hidden_regressor"] < first["loss"]["hidden_regressor"]


def test_two_seg_res_nets_teach_a_basic_unet_that_is_packed_as_a_bundle(start, finished_run):
    workflow = start("examples/ensemble", max_epochs=1, finalize=[*TEACH, LEARN, "$@bundle"])
    folder = finished_run.runs / workflow.parser.get_parsed_content("run_name")
    shutil.copy(finished_run.folder / "metrics.json", folder)
    workflow.finalize()
    assert_all_learn(workflow.parser, projector="stage_heads")
    packed = read_json(folder / "bundle/configs/inference.json")["network_def"]
    assert packed["_target_"] == "BasicUNet"
    first, second = workflow.parser.get_parsed_content("teacher").networks
    assert not first.convInit.conv.weight.equal(second.convInit.conv.weight)


def test_a_bundle_from_the_zoo_teaches_and_is_left_as_it_was(finished_run, tmp_path):
    bundle = finished_run.folder / "bundle"
    weights = (bundle / "models/model.pt").read_bytes()
    files = "['bundles/distill.yaml','bundles/examples/zoo_teacher.yaml']"
    settings = {"config_file": files, "run_name": tmp_path.name, "teacher_bundle": bundle}
    finished = run_main_job(finished_run.runs, max_epochs=2, **settings)
    assert finished.returncode == 0, finished.stderr[-3000:]
    folder = finished_run.runs / tmp_path.name
    networks = read_json(folder / "metrics.json")["networks"]
    assert list(networks) == ["teacher", "student", "twin"]
    assert networks["teacher"]["history"] == []
    teacher = read_json(folder / "manifest.json")["teacher"]
    assert teacher["weights_sha256"] == hash_weights(read_weights(bundle / "models/model.pt"))
    assert (bundle / "models/model.pt").read_bytes() == weights
    student, twin = (
        torch.load(folder / stage / "model.pt", weights_only=True) for stage in ("student", "twin")
    )
    assert any(not twin[name].equal(value) for name, value in student.items())
