import copy

import pytest
import torch
from torch import nn

from monai_kd.networks import EfficientNetStudent, probe_network


def test_the_network_stays_as_it_was():
    student = EfficientNetStudent(2).train()
    student.head.eval()
    before = copy.deepcopy(student.state_dict())
    said = probe_network(student, taps=["encoder.3"], shape=(1, 4, 32, 32))
    assert said.features["encoder.3"].shape[1] == 160
    assert (student.training, student.head.training) == (True, False)
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_a_tap_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no module '1'"):
        probe_network(nn.Sequential(nn.Conv3d(4, 3, 1)), taps=["1"], shape=(1, 4, 8, 8, 8))
