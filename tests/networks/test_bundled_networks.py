import pytest
from monai.bundle import ConfigParser

from monai_kd.experiment.configuration import hash_settings
from monai_kd.networks import ConvTeacher, HybridTeacher, MultiScaleFusion, PlainFusion

FILES = ["bundles/distill.yaml", "bundles/stage.yaml", "bundles/teacher.yaml"]


def teacher_stage(teacher: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(FILES)
    parser["teacher_def"] = f"%bundles/networks.yaml#{teacher}"
    parser.parse()
    return parser


def make_network(teacher: str, recipe: str = "phantom"):
    parser = teacher_stage(teacher)
    parser["recipe"] = recipe
    return parser.get_parsed_content("network_def")


@pytest.mark.parametrize(
    ("name", "kind", "fusion"),
    [
        ("teacher", HybridTeacher, MultiScaleFusion),
        ("plain_teacher", HybridTeacher, PlainFusion),
        ("conv_teacher", ConvTeacher, type(None)),
    ],
)
def test_the_transformer_and_its_fusion_are_a_choice_of_yaml(name, kind, fusion):
    network = make_network(name)
    assert type(network) is kind
    assert isinstance(getattr(network, "fusion", None), fusion)


def test_without_msgff_all_other_weights_keep_their_names_and_shapes():
    full, plain = (
        {
            key: weight.shape
            for key, weight in make_network(name).state_dict().items()
            if not key.startswith("fusion.")
        }
        for name in ("teacher", "plain_teacher")
    )
    assert full == plain


def test_each_teacher_is_trained_in_a_folder_of_its_own():
    hashes = {
        hash_settings(teacher_stage(name).config, resolved={"recipe": "phantom"})
        for name in ("teacher", "plain_teacher", "conv_teacher")
    }
    assert len(hashes) == 3
