import copy

import pytest
import torch
from torch import nn

from monai_kd.networks import EfficientNetStudent, HybridTeacher, count_channels


@pytest.fixture(scope="module")
def teacher():
    return HybridTeacher()


@pytest.mark.parametrize(
    ("tap", "channels"), [("fusion.fused.2", 64), ("vit_branch.blocks.3", 128), ("fusion.gates", 4)]
)
def test_channels_are_those_of_maps_of_tokens_and_of_vectors(teacher, tap, channels):
    assert count_channels(teacher, tap, (1, 4, 32, 32, 32)) == channels


def test_the_network_stays_as_it_was():
    student = EfficientNetStudent(2).train()
    student.head.eval()
    before = copy.deepcopy(student.state_dict())
    assert count_channels(student, "encoder.3", (1, 4, 32, 32)) == 160
    assert (student.training, student.head.training) == (True, False)
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_a_tap_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no module '1'"):
        count_channels(nn.Sequential(nn.Conv3d(4, 3, 1)), "1", (1, 4, 8, 8, 8))
