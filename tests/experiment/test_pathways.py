from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_kd.experiment import ExperimentError

ROOT = Path(__file__).parents[2]
DISTILL = "bundles/distill.yaml"
INITIALIZE = ConfigParser.load_config_file(ROOT / DISTILL)["initialize"]
PHANTOM = ConfigParser.load_config_file(ROOT / "bundles/recipes.yaml")["phantom"]
PATHWAYS = sorted((ROOT / "bundles/pathways").glob("*.yaml"))
CHECKS = [
    "$experiment.check_configuration()",
    "$experiment.check_distillation(@probe, task=@task)",
]
DEFAULT = ConfigParser.load_config_file(ROOT / DISTILL)["loss"]["terms"]
CLASSES = {
    "kind": "classes",
    "spatial_dims": 3,
    "channels": ["t1ce", "t1", "t2", "flair"],
    "outputs": {"background": [0], "left": [1], "right": [2]},
}
SMALL_TEACHER = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 4, "out_channels": 4}
SMALL_TEACHER |= {"channels": [4, 4], "strides": [2]}
TINY = {
    "teacher_channels": [4, 4, 8, 8],
    "teacher_hidden_size": 32,
    "teacher_layers": 4,
    "teacher_patch_size": 8,
    "teacher_deep_supervision": 0,
    "student_variant": "b0",
    "window": [32, 32, 32],
}


@pytest.fixture
def start(monkeypatch, tmp_path):
    """The main job with overlays and tiny networks; of its checks the first is made, or these."""
    monkeypatch.chdir(ROOT)

    def start(*overlays, **overrides):
        settings = {"initialize": CHECKS[:1], **overrides}
        workflow = ConfigWorkflow(
            [DISTILL, *map(str, overlays)],
            meta_file="bundles/metadata.json",
            logging_file=False,
            run_id="training",
            recipes={"phantom": PHANTOM | TINY},
            device="$torch.device('cpu')",
            runs_dir=str(tmp_path),
            finalize=INITIALIZE,
            **settings,
        )
        workflow.initialize()
        return workflow.parser

    return start


@pytest.mark.parametrize("overlay", PATHWAYS, ids=lambda path: path.stem)
def test_a_pathway_alone_teaches_the_student_and_its_projectors(start, overlay):
    others = {"supervised#weight": 0.0, "loss#terms#boundary#weight": 0.0}
    parser = start(overlay, **others)
    loss, distiller = parser.get_parsed_content("loss"), parser.get_parsed_content("distiller")
    torch.manual_seed(0)
    label = (torch.rand(2, 3, 32, 32, 32) > 0.9).float()
    label[1] = -1
    value = loss(distiller(torch.randn(2, 4, 32, 32, 32)), label)
    value.backward()
    assert value.isfinite()
    for name, parameter in loss.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    taught = [p.grad for p in distiller.student.parameters() if p.grad is not None]
    assert len(taught) > 10
    assert all(gradient.isfinite().all() for gradient in taught)


def test_every_pathway_but_nested_compares_exclusive_classes_too(start):
    overlays = [path for path in PATHWAYS if path.stem != "nested"]
    parser = start(*overlays, initialize=CHECKS, stated=CLASSES)
    loss, distiller = parser.get_parsed_content("loss"), parser.get_parsed_content("distiller")
    torch.manual_seed(0)
    label = torch.randint(0, 3, (2, 1, 32, 32, 32)).float()
    label[1] = -1
    output = distiller(torch.randn(2, 4, 32, 32, 32))
    values = {name: term(output, label) for name, term in loss.terms.items()}
    assert all(value.isfinite() and value > 0 for value in values.values()), values


def added(overlay):
    """The terms that an overlay brings or changes."""
    config = ConfigParser.load_config_file(overlay)
    return set(config.get("+loss#terms", {}))


def test_all_pathways_fit_together_and_none_takes_the_place_of_another(start):
    parser = start(*PATHWAYS, initialize=CHECKS)
    names = [name for overlay in PATHWAYS for name in added(overlay)]
    assert sorted(parser.get("loss#terms")) == sorted([*DEFAULT, *names])


@pytest.mark.parametrize(
    ("overlay", "override", "told"),
    [
        ("hidden", {"loss#terms#hidden#weights": 0.1}, "'weight'"),
        ("hidden", {"loss#terms#hidden#weight": "much"}, "term 'hidden' has the weight 'much'"),
        ("hidden", {"loss#terms#hidden#student_tap": "encoder.33"}, "the nearest is 'encoder.3'"),
        ("hidden", {"loss#terms#hidden#teacher_tap": "fusion"}, "term 'hidden': the teacher gives"),
        ("fusion", {"teacher_def": "%bundles/networks.yaml#conv_teacher"}, "has no module"),
        ("hidden", {"loss#terms#hidden#student_tap": "head.nothing"}, "has no module"),
        ("latent", {"loss#terms#latent#teacher_tap": "fusion.gates"}, "'loss': "),
        ("logits", {"network_def": SMALL_TEACHER}, "student gives 4 channels, expected one for"),
        ("logits", {"teacher_def": SMALL_TEACHER}, "give both the same regions"),
        ("logits", {"teacher_def": SMALL_TEACHER, "window": [33, 33, 33]}, "the networks: "),
    ],
)
def test_what_does_not_fit_is_told_in_one_line_before_any_training(start, overlay, override, told):
    with pytest.raises(RuntimeError) as stopped:
        start(ROOT / f"bundles/pathways/{overlay}.yaml", initialize=CHECKS, **override)
    line = str(find_cause(stopped.value))
    assert told in line
    assert "\n" not in line


def test_what_a_network_refuses_is_a_line_about_its_settings(start):
    student = {"_target_": "monai_kd.networks.EfficientNetStudent", "in_channels": 4}
    with pytest.raises(RuntimeError) as stopped:
        start(
            network_def={**student, "out_channels": 3, "variant": "huge"},
            initialize=["$experiment.build_component('network')"],
        )
    line = str(find_cause(stopped.value))
    assert line == "'network': variant is 'huge', expected b0, b1, b2, ..."


def find_cause(error):
    while not isinstance(error, ExperimentError):
        error = error.__cause__
    return error


def test_a_trial_leaves_student_and_projectors_as_they_were(start):
    torch.manual_seed(0)
    tried = start(ROOT / "bundles/pathways/latent.yaml", initialize=CHECKS[1:])
    torch.manual_seed(0)
    untried = start(ROOT / "bundles/pathways/latent.yaml", initialize=[])
    for key in ("loss", "distiller"):
        weights = tried.get_parsed_content(key).state_dict()
        for name, value in untried.get_parsed_content(key).state_dict().items():
            assert weights[name].equal(value), name
