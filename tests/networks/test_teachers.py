"""What holds for every teacher of ours, in 2D and 3D, with either head."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.networks import (
    ConvTeacher,
    HybridTeacher,
    MultiScaleFusion,
    PlainFusion,
    to_network_output,
)
from monai_kd.outputs import DistillationOutput

CHANNELS = (4, 6, 8)
HYBRID = partial(HybridTeacher, stage_channels=CHANNELS, hidden_size=32, layers=3)
TEACHERS = {
    "conv": partial(ConvTeacher, stage_channels=CHANNELS),
    "concatenation": HYBRID,
    "sum": partial(HYBRID, fusion=partial(MultiScaleFusion, joining="sum")),
    "attention": partial(HYBRID, fusion=partial(MultiScaleFusion, joining="attention")),
    "plain": partial(HYBRID, fusion=PlainFusion),
}
HEADS = {"segmentation": 3, "classification": 0}  # with levels of deep supervision

each_teacher = pytest.mark.parametrize("name", TEACHERS)
each_head = pytest.mark.parametrize("head", HEADS)
each_size = pytest.mark.parametrize("size", [(16, 24), (16, 16, 24)])


def seeded_teacher(name: str, spatial_dims: int = 3, **arguments) -> nn.Module:
    torch.manual_seed(0)
    return TEACHERS[name](spatial_dims, **arguments)


def random_image(*size: int, batch: int = 2, channels: int = 4) -> Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


@each_teacher
@each_size
def test_logits_have_the_size_of_the_image(name, size):
    teacher = seeded_teacher(name, len(size), in_channels=2, out_channels=5)
    assert teacher(random_image(*size, channels=2)).shape == (2, 5, *size)


@each_teacher
@each_size
def test_a_classification_has_one_row_of_logits_per_image(name, size):
    teacher = seeded_teacher(name, len(size), out_channels=5, head="classification")
    assert teacher(random_image(*size)).shape == (2, 5)


@each_teacher
def test_window_size_is_free(name):
    teacher = seeded_teacher(name).eval()
    for edge in (8, 16, 40):
        assert teacher(random_image(edge, 16, 16)).shape[2:] == (edge, 16, 16)


@each_teacher
@pytest.mark.parametrize("size", [(15, 16), (16, 16, 20)])
def test_an_odd_size_is_refused_with_size_multiple_and_mend(name, size):
    with pytest.raises(ValueError, match=rf"{size[-1]}\).*multiple of 8: pad it"):
        seeded_teacher(name, len(size))(random_image(*size))


@each_teacher
def test_one_seed_gives_one_teacher(name):
    image = random_image(16, 16)
    answers = [seeded_teacher(name, 2)(image) for _ in range(2)]
    torch.testing.assert_close(*answers, rtol=0, atol=0)


@each_teacher
@each_head
@each_size
def test_gradient_reaches_every_parameter(name, head, size):
    teacher = seeded_teacher(name, len(size), head=head, deep_supervision=HEADS[head])
    answer = teacher(random_image(*size))
    sum(level.square().sum() for level in (answer if HEADS[head] else [answer])).backward()
    assert starved(teacher) == []


def starved(network: nn.Module) -> list[str]:
    """Names of parameters without a gradient that is finite and somewhere not zero."""
    return [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not 0 < weight.grad.abs().sum() < float("inf")
    ]


@each_teacher
@each_head
def test_the_state_survives_a_round_trip(name, head, tmp_path):
    arguments = {"head": head, "deep_supervision": HEADS[head]}
    teacher, other = seeded_teacher(name, 2, **arguments), TEACHERS[name](2, **arguments)
    torch.save(teacher.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    image = random_image(16, 16)
    torch.testing.assert_close(other.eval()(image), teacher.eval()(image), rtol=0, atol=0)


@each_teacher
def test_cases_of_a_batch_do_not_meet_in_inference(name):
    teacher = seeded_teacher(name).eval()
    image = random_image(16, 16, 16)
    torch.testing.assert_close(teacher(image)[1:], teacher(image[1:]), rtol=1e-4, atol=1e-5)


@each_teacher
def test_channels_last_changes_nothing(name):
    teacher = seeded_teacher(name).eval()
    image = random_image(16, 16, 16)
    expected = teacher(image)
    teacher = teacher.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(teacher(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["conv", "concatenation"])
@each_size
def test_coarser_levels_are_answered_in_training_and_halve_the_size(name, size):
    teacher = seeded_teacher(name, len(size), deep_supervision=2)
    full, half, quarter = teacher(random_image(*size))
    assert full.shape == (2, 3, *size)
    assert half.shape == (2, 3, *[edge // 2 for edge in size])
    assert quarter.shape == (2, 3, *[edge // 4 for edge in size])


@pytest.mark.parametrize("name", ["conv", "concatenation"])
def test_in_evaluation_mode_coarser_levels_are_not_computed(name):
    teacher = seeded_teacher(name, 2, deep_supervision=3).eval()
    teacher.decoder.coarse_heads = nn.ModuleList([_Refuses()] * 3)
    assert teacher(random_image(16, 16)).shape == (2, 3, 16, 16)


class _Refuses(nn.Module):
    def forward(self, _: Tensor) -> Tensor:
        raise AssertionError("a coarse head ran")


@pytest.mark.parametrize("name", ["conv", "concatenation"])
def test_coarse_heads_leave_the_other_keys_alone(name):
    plain, deep = seeded_teacher(name), seeded_teacher(name, deep_supervision=2)
    added = deep.state_dict().keys() - plain.state_dict().keys()
    assert plain.state_dict().keys() <= deep.state_dict().keys()
    assert {key.rsplit(".", 2)[0] for key in added} == {"decoder.coarse_heads"}


def test_the_supervised_term_teaches_every_level_to_every_parameter():
    teacher = seeded_teacher("concatenation", deep_supervision=3)
    image = random_image(16, 16, 16)
    output = DistillationOutput(to_network_output(teacher(image), image))
    SupervisedTerm()(output, (image[:, :3] > 1).float()).backward()
    assert starved(teacher) == []


@each_teacher
def test_an_unknown_head_is_refused_with_the_two_known(name):
    with pytest.raises(ValueError, match="'detection', expected 'segmentation' or 'classif"):
        seeded_teacher(name, head="detection")


@pytest.mark.parametrize(("head", "most"), [("segmentation", 3), ("classification", 0)])
def test_more_levels_than_scales_are_refused(head, most):
    with pytest.raises(ValueError, match=f"deep_supervision is 4, expected 0 to {most}"):
        seeded_teacher("conv", head=head, deep_supervision=4)


@pytest.mark.parametrize("name", ["conv", "concatenation"])
def test_logits_of_every_level_start_at_the_prior(name):
    decoder = seeded_teacher(name, deep_supervision=1).decoder
    for layer in (decoder.head.logits, decoder.coarse_heads[0]):
        torch.testing.assert_close(layer.bias.sigmoid(), torch.full((3,), 0.02))


@pytest.mark.parametrize("name", ["plain", "sum", "attention"])
def test_another_fusion_changes_only_the_keys_of_fusion(name):
    assert shapes(seeded_teacher(name), "fusion") == shapes(
        seeded_teacher("concatenation"), "fusion"
    )


def test_the_conv_teacher_has_the_keys_of_the_hybrid_but_for_vit_and_fusion():
    hybrid = seeded_teacher("concatenation", deep_supervision=1)
    expected = shapes(hybrid, "fusion", "vit_branch")
    assert shapes(seeded_teacher("conv", deep_supervision=1)) == expected


def shapes(network: nn.Module, *without: str) -> dict[str, torch.Size]:
    """Shapes of the state by key, some parts of the network left out."""
    state = network.state_dict().items()
    return {key: value.shape for key, value in state if key.split(".")[0] not in without}


@pytest.mark.parametrize("name", TEACHERS)
def test_other_than_two_or_three_dimensions_are_refused(name):
    with pytest.raises(ValueError, match="spatial_dims is 0, expected 2 or 3"):
        TEACHERS[name](0)
