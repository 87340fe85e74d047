import pytest
import torch
from monai.networks.nets import SegResNetDS, SegResNetVAE

from monai_kd.networks import list_levels, to_network_output
from monai_kd.outputs import NetworkOutput

IMAGE = torch.zeros(2, 4, 8, 8)


def random_levels(count: int) -> list[torch.Tensor]:
    return [torch.randn(2, 3, 8 >> level, 8 >> level) for level in range(count)]


def test_a_tensor_is_the_logits():
    (logits,) = random_levels(1)
    assert to_network_output(logits, IMAGE) == NetworkOutput(logits, {})


def test_a_row_of_logits_per_image_is_a_classification():
    assert to_network_output(torch.zeros(2, 5), IMAGE).logits.shape == (2, 5)


@pytest.mark.parametrize("count", [1, 3])
def test_levels_come_back_as_they_went_in(count):
    levels = random_levels(count)
    found = list_levels(to_network_output(levels, IMAGE))
    assert len(found) == count
    assert all(after is before for after, before in zip(found, levels, strict=True))


def test_coarser_levels_are_features_by_number():
    _, half, quarter = levels = random_levels(3)
    features = to_network_output(levels, IMAGE).features
    assert features == {"deep.1": half, "deep.2": quarter}


def test_levels_in_one_piece_are_taken_apart():
    stack = torch.randn(2, 4, 3, 8, 8)
    found = list_levels(to_network_output(stack, IMAGE))
    torch.testing.assert_close(torch.stack(found, dim=1), stack, rtol=0, atol=0)


def test_side_results_are_left_out():
    (logits,) = random_levels(1)
    assert to_network_output((logits, torch.zeros(())), IMAGE) == NetworkOutput(logits, {})


def test_an_output_stays_as_it_is():
    output = NetworkOutput(IMAGE, {"tap": IMAGE})
    assert to_network_output(output, IMAGE) is output


@pytest.mark.parametrize("answer", [None, [], (), {"logits": IMAGE}, 7])
def test_other_answers_are_refused_with_their_type(answer):
    with pytest.raises(TypeError, match="expected logits, a list of"):
        to_network_output(answer, IMAGE)


def test_a_list_of_other_things_is_refused():
    with pytest.raises(TypeError, match=r"list of NoneType.*belong into a tuple"):
        to_network_output([IMAGE, None], IMAGE)


def test_the_levels_of_segresnetds_are_understood():
    image = torch.randn(1, 4, 16, 16)
    network = SegResNetDS(
        2, init_filters=4, in_channels=4, out_channels=3, blocks_down=(1, 1, 1), dsdepth=2
    )
    sizes = [level.shape[2:] for level in list_levels(to_network_output(network(image), image))]
    assert sizes == [(16, 16), (8, 8)]


def test_the_side_loss_of_segresnetvae_is_left_out():
    image = torch.randn(1, 4, 16, 16, 16)
    network = SegResNetVAE((16, 16, 16), init_filters=8, in_channels=4, out_channels=3)
    output = to_network_output(network(image), image)
    assert output.logits.shape == (1, 3, 16, 16, 16)
    assert output.features == {}
