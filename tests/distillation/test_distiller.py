import copy

import pytest
import torch
from torch import nn

from monai_kd.distillation import DistillationLoss, Distiller
from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.networks import TappedNetwork
from tests.networks.cases import small_network


def test_teacher_stays_bit_identical_while_every_student_parameter_moves():
    distiller = Distiller(small_network(1), teacher=small_network(2))
    loss = DistillationLoss({"supervised": SupervisedTerm(), "soft_label": BalancedSoftLabelTerm()})
    student, teacher = copy.deepcopy(distiller.student), copy.deepcopy(distiller.teacher)
    optimizer = torch.optim.AdamW(distiller.student.parameters(), lr=0.1)
    image = torch.randn(2, 4, 8, 8, 8)
    for _ in range(3):
        optimizer.zero_grad()
        loss(distiller.train()(image), (image[:, :3] > 1).float()).backward()
        optimizer.step()
    for name, value in distiller.teacher.state_dict().items():
        assert torch.equal(value, teacher.state_dict()[name]), name
    for name, value in distiller.student.named_parameters():
        assert not torch.equal(value, student.get_parameter(name)), name


def test_training_mode_never_reaches_the_teacher():
    distiller = Distiller(small_network(1), teacher=small_network(2)).train()
    assert distiller.student.training
    assert not any(module.training for module in distiller.teacher.modules())


def test_without_a_teacher_only_the_student_speaks():
    output = Distiller(small_network(1))(torch.randn(1, 4, 4, 4, 4))
    assert output.teacher is None
    assert output.student.logits.shape == (1, 3, 4, 4, 4)


def test_features_of_both_networks_pass_through():
    student, teacher = (TappedNetwork(small_network(seed), taps=["1"]) for seed in (1, 2))
    output = Distiller(student, teacher=teacher)(torch.randn(1, 4, 4, 4, 4))
    assert output.student.features["1"].requires_grad
    assert not output.teacher.features["1"].requires_grad


def test_a_teacher_that_shares_weights_with_the_student_is_refused():
    student = nn.Conv3d(1, 1, 1)
    with pytest.raises(ValueError, match=r"share 2 parameters, '0\.weight' first"):
        Distiller(student, teacher=nn.Sequential(student))
