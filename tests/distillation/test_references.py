"""The terms on logits against their formulae, written once more in NumPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter
from scipy.special import entr, expit, log_softmax, softmax

from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.boundary_term import BoundaryTerm
from monai_kd.distillation.terms.channelwise_term import ChannelwiseTerm
from monai_kd.distillation.terms.deep_soft_label_term import DeepSoftLabelTerm
from monai_kd.distillation.terms.nested_decoupled_term import NestedDecoupledTerm
from monai_kd.distillation.terms.soft_label_term import SoftLabelTerm
from monai_kd.distillation.terms.soft_overlap_term import SoftOverlapTerm
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import make_random

SHAPE = (2, 3, 8, 6, 4)
STUDENT, TEACHER = (make_random(seed, SHAPE, torch.float64) for seed in (1, 2))
TEACHER -= 4  # foreground is rare, and its rim leaves background
COARSE = make_random(3, (2, 3, 4, 3, 2), torch.float64)
S, T = STUDENT.numpy(), TEACHER.numpy()
TRUTH = make_random(7, SHAPE, torch.float64).numpy() > 3
CLASSES = np.digitize(make_random(8, SHAPE, torch.float64).numpy()[:, 0], [0, 2])
REGION_LABEL, CLASS_LABEL = torch.tensor(TRUTH).double(), torch.tensor(CLASSES[:, None])
PAIR = DistillationOutput(NetworkOutput(STUDENT, {"deep.1": COARSE}), NetworkOutput(TEACHER))
ALL_BUT_CHANNELS = (0, 2, 3, 4)


def assert_agrees(term, expected, *, output=PAIR, label=REGION_LABEL):
    assert term(output, label).item() == pytest.approx(float(expected), rel=1e-6, abs=1e-9)


def bernoulli(p, q):
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def dilate(mask):
    return maximum_filter(mask, size=(1, 1, 3, 3, 3), mode="constant", cval=0)


def mean_where(values, mask, weights=None):
    """The mean over regions of each one's weighted mean in its mask."""
    weights = mask * (np.ones_like(values) if weights is None else weights)
    return ((values * weights).sum(ALL_BUT_CHANNELS) / weights.sum(ALL_BUT_CHANNELS)).mean()


def halve(values):
    """Means over cells of 2 x 2 x 2 voxels."""
    batch, channels, *space = values.shape
    cells = [part for edge in space for part in (edge // 2, 2)]
    return values.reshape(batch, channels, *cells).mean(axis=(3, 5, 7))


def trust():
    """What the gate says where the label is known."""
    return np.where(TRUTH, expit(T), 1 - expit(T))


def softmax_kl(teacher, student, *, axis):
    p, log_p = softmax(teacher, axis), log_softmax(teacher, axis)
    return (p * (log_p - log_softmax(student, axis))).sum(axis)


@pytest.mark.parametrize("gated", [False, True])
def test_balanced_soft_label(gated):
    divergence = bernoulli(expit(T / 3), expit(S / 3))
    inside, weights = dilate(TRUTH | (T > 0)), trust() if gated else None
    halves = [mean_where(divergence, part, weights) for part in (inside, ~inside)]
    term = BalancedSoftLabelTerm(temperature=3.0, gate=ReliabilityGate() if gated else None)
    assert_agrees(term, 9 * sum(halves) / 2)


def test_plain_soft_label_of_regions():
    expected = 9 * bernoulli(expit(T / 3), expit(S / 3)).mean()
    assert_agrees(BalancedSoftLabelTerm(temperature=3.0, balanced=False), expected)


@pytest.mark.parametrize("gated", [False, True])
def test_soft_overlap(gated):
    p, q, g = expit(T), expit(S), trust() if gated else np.ones_like(T)
    overlap = 2 * (g * p * q).sum(ALL_BUT_CHANNELS) + 1e-5
    dice = overlap / ((g * p**2 + g * q**2).sum(ALL_BUT_CHANNELS) + 1e-5)
    expected = (1 - dice).mean() + (g * bernoulli(p, q)).mean()
    assert_agrees(SoftOverlapTerm(gate=ReliabilityGate() if gated else None), expected)


def test_hard_overlap():
    p, q = (T > 0).astype(float), expit(S)
    overlap = 2 * (p * q).sum(ALL_BUT_CHANNELS) + 1e-5
    dice = overlap / ((p + q**2).sum(ALL_BUT_CHANNELS) + 1e-5)
    entropy = -np.log(np.where(p > 0, q, 1 - q)).mean()
    assert_agrees(SoftOverlapTerm(hard=True), (1 - dice).mean() + entropy)


def test_boundary():
    shell = dilate(TRUTH) & dilate(~TRUTH)
    expected = 4 * mean_where(bernoulli(expit(T / 2), expit(S / 2)), shell)
    assert_agrees(BoundaryTerm(temperature=2.0), expected)


def one_hot(classes):
    return np.moveaxis(np.eye(3)[classes], -1, 1).astype(bool)


def test_class_terms_balance_and_bound_each_class_and_take_the_softmax_over_channels():
    truth, divergence = one_hot(CLASSES), softmax_kl(T / 3, S / 3, axis=1)[:, None]
    divergence = np.broadcast_to(divergence, SHAPE)
    shell, inside = dilate(truth) & dilate(~truth), truth | one_hot(T.argmax(1))
    balanced = sum(mean_where(divergence, part) for part in (inside, ~inside)) / 2
    facts = {"output": PAIR, "label": CLASS_LABEL}
    settings = {"temperature": 3.0, "exclusive": True}
    assert_agrees(BoundaryTerm(**settings), 9 * mean_where(divergence, shell), **facts)
    assert_agrees(BalancedSoftLabelTerm(**settings, dilation=0), 9 * balanced, **facts)
    plain = BalancedSoftLabelTerm(**settings, balanced=False)
    assert_agrees(plain, 9 * divergence.mean(), **facts)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("hard", [False, True])
def test_soft_overlap_of_classes(gated, hard):
    p, q = one_hot(T.argmax(1)).astype(float) if hard else softmax(T, 1), softmax(S, 1)
    g = (softmax(T, 1) * one_hot(CLASSES)).sum(1, keepdims=True) if gated else np.ones(SHAPE)
    overlap = 2 * (g * p * q).sum(ALL_BUT_CHANNELS) + 1e-5
    dice = overlap / ((g * (p**2 + q**2)).sum(ALL_BUT_CHANNELS) + 1e-5)
    cross = -(p * log_softmax(S, 1)).sum(1) - entr(p).sum(1)
    term = SoftOverlapTerm(hard=hard, exclusive=True, gate=ReliabilityGate() if gated else None)
    assert_agrees(term, (1 - dice).mean() + (g[:, 0] * cross).mean(), label=CLASS_LABEL)


def channelwise(*, axis):
    """`(B, C, V)`: over voxels is axis 2."""
    teacher, student = (halve(x).reshape(2, 3, -1) / 4 for x in (T, S))
    return 16 * softmax_kl(teacher, student, axis=axis).mean()


def test_channelwise():
    assert_agrees(ChannelwiseTerm(), channelwise(axis=2))
    assert ChannelwiseTerm()(PAIR, REGION_LABEL) != pytest.approx(channelwise(axis=1), rel=0.05)


def soft_label(*, axis):
    log_q = np.moveaxis(log_softmax(S, axis), 1, -1)
    entropy = -np.take_along_axis(log_q, CLASSES[..., None], -1).mean()
    return 0.3 * 9 * softmax_kl(T / 3, S / 3, axis=axis).mean() + 0.7 * entropy


@pytest.mark.parametrize("wrong_axis", [0, 2, 3, 4])
def test_soft_label(wrong_axis):
    term = SoftLabelTerm(alpha=0.3, temperature=3.0)
    assert_agrees(term, soft_label(axis=1), label=CLASS_LABEL)
    assert term(PAIR, CLASS_LABEL) != pytest.approx(soft_label(axis=wrong_axis), rel=0.05)


def test_soft_label_in_classification():
    student, teacher, label = S[:, :, 0, 0, 0], T[:, :, 0, 0, 0], np.array([2, 0])
    entropy = -log_softmax(student, 1)[[0, 1], label].mean()
    expected = 0.5 * 4 * softmax_kl(teacher / 2, student / 2, axis=1).mean() + 0.5 * entropy
    output = DistillationOutput(*(NetworkOutput(torch.tensor(x)) for x in (student, teacher)))
    for given in (torch.tensor(label), torch.tensor(label[:, None], dtype=torch.float32)):
        assert_agrees(SoftLabelTerm(), expected, output=output, label=given)


def nest(logits):
    """Logits of TC, WT, ET, each region's above those of the regions in it."""
    core = logits[:, 2] + abs(logits[:, 0]) + 0.1
    return torch.stack([core, core + abs(logits[:, 1]) + 0.1, logits[:, 2]], dim=1)


def decoupled(teacher, student, *, axis):
    """Zhao et al., equation 7, voxel by voxel; the target is how many regions a voxel lies in."""
    core, wide, inner = np.moveaxis(TRUTH, 1, 0)
    target = np.cumprod([wide, core, inner], axis=0).sum(axis=0)
    p, q = (soften_classes(x.numpy(), axis) for x in (teacher, student))
    divergence = np.empty(target.shape)
    for voxel in np.ndindex(target.shape):
        known = [np.delete(x[voxel], target[voxel]) for x in (p, q)]
        rest = [others / others.sum() for others in known]
        divergence[voxel] = bernoulli(p[voxel][target[voxel]], q[voxel][target[voxel]])
        divergence[voxel] += 3 * (rest[0] * np.log(rest[0] / rest[1])).sum()
    return 4 * (divergence[target > 0].mean() + divergence[target == 0].mean()) / 2


def soften_classes(logits, axis):
    core, wide, inner = np.moveaxis(logits, 1, 0)
    rings = [between(wide, core), between(core, inner)]
    classes = np.stack([1 - expit(wide), *rings, expit(inner)], axis=-1)
    return softmax(np.log(classes) / 2, axis=axis)


def between(outer, inner):
    """The share of the ring; with the gap itself it would be `expit(outer) - expit(inner)`."""
    gap = np.log1p(np.exp(2 * (outer - inner))) / 2
    return expit(outer) * expit(-inner) * (1 - np.exp(-gap))


def test_nested_decoupled():
    teacher, student = nest(TEACHER), nest(STUDENT)
    output = DistillationOutput(NetworkOutput(student), NetworkOutput(teacher))
    term = NestedDecoupledTerm(order=(1, 0, 2), temperature=2.0, other_weight=3.0)
    assert_agrees(term, decoupled(teacher, student, axis=-1), output=output)
    wrong = decoupled(teacher, student, axis=1)
    assert term(output, REGION_LABEL) != pytest.approx(wrong, rel=0.05)


def test_deep_soft_label_of_regions():
    p, q = halve(expit(T / 2)), expit(COARSE.numpy() / 2)
    inside = halve((TRUTH | (T > 0)).astype(float)) > 0
    halves = [mean_where(bernoulli(p, q), part) for part in (inside, ~inside)]
    assert_agrees(DeepSoftLabelTerm(), 4 * sum(halves) / 2)


def test_deep_soft_label_of_classes():
    p, q = halve(softmax(T / 2, 1)), softmax(COARSE.numpy() / 2, 1)
    term = DeepSoftLabelTerm(exclusive=True)
    assert_agrees(term, 4 * (p * np.log(p / q)).sum(1).mean(), label=CLASS_LABEL)


def dice_loss(probability, share):
    """Least at the share, where the truth is soft; the published one where it is hard."""
    both = probability.sum(ALL_BUT_CHANNELS) + share.sum(ALL_BUT_CHANNELS)
    overlap = both - abs(probability - share).sum(ALL_BUT_CHANNELS)
    return (1 - (overlap + 1e-5) / (both + 1e-5)).mean()


def test_supervised_regions():
    def owe(logits, share):
        q = expit(logits)
        entropy = -(share * np.log(q) + (1 - share) * np.log(1 - q)).mean()
        return dice_loss(q, share) + entropy

    share = TRUTH.astype(float)
    expected = (owe(S, share) + owe(COARSE.numpy(), halve(share)) / 2) / 1.5
    assert_agrees(SupervisedTerm(), expected)


def test_supervised_classes():
    def owe(logits, share):
        return dice_loss(softmax(logits, 1), share) - (share * log_softmax(logits, 1)).sum(1).mean()

    share = np.moveaxis(np.eye(3)[CLASSES], -1, 1)
    expected = (owe(S, share) + owe(COARSE.numpy(), halve(share)) / 2) / 1.5
    assert_agrees(SupervisedTerm(exclusive=True), expected, label=CLASS_LABEL)


def test_supervised_classification_is_cross_entropy_alone():
    logits, label = S[:, :, 0, 0, 0], np.array([2, 0])
    expected = -log_softmax(logits, 1)[[0, 1], label].mean()
    output = DistillationOutput(NetworkOutput(torch.tensor(logits)))
    assert_agrees(
        SupervisedTerm(exclusive=True), expected, output=output, label=torch.tensor(label)
    )
