import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceLoss

from monai_kd.distillation.pooling import average_to
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput

SHAPE = (2, 3, 8, 8, 8)


def supervise(logits, label, **features):
    deep = {name.replace("_", "."): value for name, value in features.items()}
    return SupervisedTerm()(DistillationOutput(NetworkOutput(logits, deep)), label)


def random_label(*, shape=SHAPE):
    return (torch.randn(shape, generator=torch.Generator().manual_seed(1)) > 0).float()


def test_a_perfect_student_owes_nothing_to_the_labels():
    label = random_label()
    assert supervise(200 * label - 100, label) < 1e-4


def test_the_term_follows_its_formula():
    logits, label = torch.randn(SHAPE), random_label()
    p, axes = torch.sigmoid(logits), (0, 2, 3, 4)
    overlap = (2 * (p * label).sum(axes) + 1e-5) / (p.sum(axes) + label.sum(axes) + 1e-5)
    entropy = -(label * p.log() + (1 - label) * (1 - p).log()).mean()
    torch.testing.assert_close(supervise(logits, label), (1 - overlap).mean() + entropy)


def test_levels_weigh_half_as_much_each_and_one_together():
    logits, label = torch.randn(3, *SHAPE), random_label()
    alone = [supervise(level, label) for level in logits]
    together = supervise(logits[0], label, deep_1=logits[1], deep_2=logits[2])
    expected = (alone[0] + alone[1] / 2 + alone[2] / 4) / 1.75
    torch.testing.assert_close(together, expected)


def test_equal_levels_owe_what_one_owes():
    logits, label = torch.randn(SHAPE), random_label()
    deep = supervise(logits, label, deep_1=logits, deep_2=logits)
    torch.testing.assert_close(deep, supervise(logits, label))


@pytest.mark.parametrize("size", [(4, 4), (4, 4, 2)])
def test_gradient_reaches_every_level(size):
    label = random_label(shape=(2, 3, *[2 * edge for edge in size]))
    levels = [torch.randn(label.shape), torch.randn(2, 3, *size)]
    full, half = (level.requires_grad_() for level in levels)
    supervise(full, label, deep_1=half).backward()
    assert all(level.grad.abs().min() > 0 for level in levels)


def test_other_features_are_no_levels():
    logits, label = torch.randn(SHAPE), random_label()
    tapped = supervise(logits, label, fusion_gates=torch.zeros(2, 3))
    torch.testing.assert_close(tapped, supervise(logits, label))


@pytest.mark.parametrize("size", [(4, 4), (4, 4, 2)])
def test_a_smaller_label_keeps_the_volume_of_its_region(size):
    label = random_label(shape=(2, 3, *[4 * edge for edge in size]))
    shares = average_to(label, size)
    assert shares.shape[2:] == size
    torch.testing.assert_close(shares.flatten(2).mean(2), label.flatten(2).mean(2))


def test_a_rim_of_one_voxel_is_kept_where_the_nearest_voxel_loses_it():
    rim = torch.zeros(1, 1, 8, 8)
    rim[..., 4] = 1
    shares = average_to(rim, (2, 2))
    torch.testing.assert_close(shares, torch.tensor([[[[0.0, 0.25], [0.0, 0.25]]]]))
    nothing = torch.full((1, 1, 2, 2), -100.0)
    monai = DeepSupervisionLoss(DiceLoss(sigmoid=True))
    assert monai([nothing], rim) == DiceLoss(sigmoid=True)(nothing, torch.zeros(1, 1, 2, 2))


def test_half_precision_costs_no_accuracy():
    logits, label = torch.randn(2, 3, 32, 32, 32), random_label(shape=(2, 3, 32, 32, 32))
    half = logits.bfloat16()
    torch.testing.assert_close(supervise(half, label), supervise(half.float(), label))


def test_a_coarse_level_owes_least_at_the_share_of_its_region():
    share = torch.full((1, 1, 4, 4, 4), 0.5)
    share[..., :2] = 0.0
    losses = {
        answer: SupervisedTerm().dice(torch.where(share > 0, answer, -99.0).float(), share)
        for answer in (-1.0, 0.0, 1.0)
    }
    assert min(losses, key=losses.get) == 0.0
