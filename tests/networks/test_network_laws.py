"""What holds for every network of ours, in 2D and 3D, with either head."""

import pytest
import torch
from torch import Tensor, nn

from tests.networks.cases import (
    HEADS,
    NETWORKS,
    choose_head,
    random_image,
    seeded_network,
    starved,
)

each_network = pytest.mark.parametrize("name", NETWORKS)
each_head = pytest.mark.parametrize("head", HEADS)
each_size = pytest.mark.parametrize("size", [(16, 24), (16, 16, 24)])
conv_and_hybrid = pytest.mark.parametrize("name", ["conv", "concatenation"])


@each_network
@each_head
@each_size
def test_logits_have_the_size_of_the_image_or_are_one_row_of_a_classification(name, head, size):
    network = seeded_network(name, len(size), in_channels=2, out_channels=5, head=head)
    space = size if head == "segmentation" else ()
    assert network(random_image(*size, channels=2)).shape == (2, 5, *space)


@each_network
def test_window_size_is_free(name):
    network = seeded_network(name).eval()
    for edge in (8, 16, 40):
        assert network(random_image(edge, 16, 16)).shape[2:] == (edge, 16, 16)


@each_network
@pytest.mark.parametrize("size", [(15, 16), (16, 16, 20)])
def test_an_odd_size_is_refused_with_size_multiple_and_mend(name, size):
    with pytest.raises(ValueError, match=rf"{size[-1]}\].*multiple of 8: pad it"):
        seeded_network(name, len(size))(random_image(*size))


@each_network
def test_one_seed_gives_one_teacher(name):
    image = random_image(16, 16)
    answers = [seeded_network(name, 2)(image) for _ in range(2)]
    torch.testing.assert_close(*answers, rtol=0, atol=0)


@each_network
@each_head
@each_size
def test_gradient_reaches_every_parameter(name, head, size):
    network = seeded_network(name, len(size), **choose_head(name, head))
    answer = network(random_image(*size))
    levels = answer if isinstance(answer, list) else [answer]
    sum(level.square().sum() for level in levels).backward()
    assert starved(network) == []


@each_network
@each_head
def test_the_state_survives_a_round_trip(name, head, tmp_path):
    arguments = choose_head(name, head)
    network, other = seeded_network(name, 2, **arguments), NETWORKS[name](2, **arguments)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    image = random_image(16, 16)
    torch.testing.assert_close(other.eval()(image), network.eval()(image), rtol=0, atol=0)


@each_network
def test_cases_of_a_batch_do_not_meet_in_inference(name):
    network = seeded_network(name).eval()
    image = random_image(16, 16, 16)
    torch.testing.assert_close(network(image)[1:], network(image[1:]), rtol=1e-4, atol=1e-5)


@each_network
def test_channels_last_changes_nothing(name):
    network = seeded_network(name).eval()
    image = random_image(16, 16, 16)
    expected = network(image)
    network = network.to(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(network(image), expected, rtol=1e-4, atol=1e-5)


@conv_and_hybrid
@each_size
def test_coarser_levels_are_answered_in_training_and_halve_the_size(name, size):
    network = seeded_network(name, len(size), deep_supervision=2)
    full, half, quarter = network(random_image(*size))
    assert full.shape == (2, 3, *size)
    assert half.shape == (2, 3, *[edge // 2 for edge in size])
    assert quarter.shape == (2, 3, *[edge // 4 for edge in size])


@conv_and_hybrid
def test_in_evaluation_mode_coarser_levels_are_not_computed(name):
    network = seeded_network(name, 2, deep_supervision=3).eval()
    network.decoder.coarse_heads = nn.ModuleList([_Refuses()] * 3)
    assert network(random_image(16, 16)).shape == (2, 3, 16, 16)


class _Refuses(nn.Module):
    def forward(self, _: Tensor) -> Tensor:
        raise AssertionError("a coarse head ran")


@conv_and_hybrid
def test_coarse_heads_leave_the_other_keys_alone(name):
    plain, deep = seeded_network(name), seeded_network(name, deep_supervision=2)
    added = deep.state_dict().keys() - plain.state_dict().keys()
    assert plain.state_dict().keys() <= deep.state_dict().keys()
    assert {key.rsplit(".", 2)[0] for key in added} == {"decoder.coarse_heads"}


@each_network
def test_an_unknown_head_is_refused_with_the_two_known(name):
    with pytest.raises(ValueError, match="'detection', expected 'segmentation' or 'classif"):
        seeded_network(name, head="detection")


@pytest.mark.parametrize(("head", "most"), [("segmentation", 3), ("classification", 0)])
def test_more_levels_than_scales_are_refused(head, most):
    with pytest.raises(ValueError, match=f"deep_supervision is 4, expected 0 to {most}"):
        seeded_network("conv", head=head, deep_supervision=4)


@conv_and_hybrid
def test_logits_of_every_level_start_at_the_prior(name):
    decoder = seeded_network(name, deep_supervision=1).decoder
    for layer in (decoder.head.logits, decoder.coarse_heads[0]):
        torch.testing.assert_close(layer.bias.sigmoid(), torch.full((3,), 0.02))


@pytest.mark.parametrize("name", ["plain", "sum", "attention"])
def test_another_fusion_changes_only_the_keys_of_fusion(name):
    assert shapes(seeded_network(name), "fusion") == shapes(
        seeded_network("concatenation"), "fusion"
    )


def test_the_conv_teacher_has_the_keys_of_the_hybrid_but_for_vit_and_fusion():
    hybrid = seeded_network("concatenation", deep_supervision=1)
    expected = shapes(hybrid, "fusion", "vit_branch")
    assert shapes(seeded_network("conv", deep_supervision=1)) == expected


def shapes(network: nn.Module, *without: str) -> dict[str, torch.Size]:
    """Shapes of the state by key, some parts of the network left out."""
    state = network.state_dict().items()
    return {key: value.shape for key, value in state if key.split(".")[0] not in without}


@each_network
def test_other_than_two_or_three_dimensions_are_refused(name):
    with pytest.raises(ValueError, match="spatial_dims is 0, expected 2 or 3"):
        NETWORKS[name](0)
