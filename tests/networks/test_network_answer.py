import pytest
import torch
from monai.networks.nets import SegResNetDS, SegResNetVAE

from monai_kd.networks import list_levels, to_network_output
from monai_kd.outputs import NetworkOutput

IMAGE = torch.zeros(2, 4, 8, 8)


def random_levels(count: int) -> list[torch.Tensor]:
    return [torch.randn(2, 3, 8 >> level, 8 >> level) for level in range(count)]


FULL, HALF, QUARTER = random_levels(3)
STACK = torch.randn(2, 4, 3, 8, 8)
ANSWERS = {
    "a tensor is the logits": (FULL, [FULL]),
    "a row of logits per image is a classification": (STACK[:, :, 0, 0, 0], [STACK[:, :, 0, 0, 0]]),
    "a list is one level": ([FULL], [FULL]),
    "a list is levels": ([FULL, HALF, QUARTER], [FULL, HALF, QUARTER]),
    "levels in one piece are taken apart": (STACK, STACK.unbind(1)),
    "side results are left out": ((FULL, torch.zeros(())), [FULL]),
}


@pytest.mark.parametrize(("answer", "levels"), ANSWERS.values(), ids=ANSWERS)
def test_every_form_of_answer_tells_its_levels_by_number(answer, levels):
    output = to_network_output(answer, IMAGE)
    assert list(output.features) == [f"deep.{level}" for level in range(1, len(levels))]
    assert len(list_levels(output)) == len(levels)
    assert all(map(torch.equal, list_levels(output), levels))


def test_an_output_stays_as_it_is():
    output = NetworkOutput(IMAGE, {"tap": IMAGE})
    assert to_network_output(output, IMAGE) is output


@pytest.mark.parametrize("answer", [None, [], (), {"logits": IMAGE}, 7, [IMAGE, None]])
def test_other_answers_are_refused_with_their_type(answer):
    mixed = isinstance(answer, list) and answer
    complaint = "list of NoneType.*belong into a tuple" if mixed else "expected logits, a list of"
    with pytest.raises(TypeError, match=complaint):
        to_network_output(answer, IMAGE)


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
