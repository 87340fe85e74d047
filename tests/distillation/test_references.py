"""The terms on logits against their formulae, written once more in NumPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter
from scipy.special import entr, expit, log_softmax, rel_entr, softmax

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
from tests.distillation.cases import hide, make_random
from tests.distillation.formulae import bernoulli, divergence, halve

SHAPE = (2, 3, 8, 12, 4)
STUDENT, TEACHER = (make_random(seed, SHAPE) for seed in (1, 2))
TEACHER -= 4  # foreground is rare, and its rim leaves background
HALF, QUARTER = make_random(3, (2, 3, 4, 6, 2)), make_random(4, (2, 3, 2, 3, 1))
LEVELS = {"deep.1": HALF, "deep.2": QUARTER, "fusion.gates": torch.ones(2, 3)}  # the last is none
PAIR = DistillationOutput(NetworkOutput(STUDENT, LEVELS), NetworkOutput(TEACHER))
S, T = STUDENT.numpy(), TEACHER.numpy()
REGIONS = make_random(7, SHAPE).numpy() > 3
CLASSES = np.digitize(make_random(8, SHAPE).numpy()[:, 0], [0, 2])
REGION_LABEL, CLASS_LABEL = torch.tensor(REGIONS).double(), torch.tensor(CLASSES[:, None])
ALL_BUT_CHANNELS = (0, 2, 3, 4)

each_kind = pytest.mark.parametrize("exclusive", [False, True], ids=["regions", "classes"])
gated_or_not = pytest.mark.parametrize("gated", [False, True])


def assert_agrees(term, expected, *, output=PAIR, label=REGION_LABEL):
    assert term(output, label).item() == pytest.approx(float(expected), rel=1e-6, abs=1e-9)


def label_of(exclusive):
    return CLASS_LABEL if exclusive else REGION_LABEL


def one_hot(classes):
    return np.moveaxis(np.eye(3)[classes], -1, 1).astype(bool)


def masks(exclusive):
    """The truth and what the teacher holds likely, region by region or class by class."""
    return (one_hot(CLASSES), one_hot(T.argmax(1))) if exclusive else (REGIONS, T > 0)


def sharpen(logits, exclusive):
    return softmax(logits, 1) if exclusive else expit(logits)


def diverge(p, q, exclusive):
    """Of each region, or the one of all classes; `p` may be 0."""
    if exclusive:
        return np.broadcast_to(rel_entr(p, q).sum(1, keepdims=True), p.shape)
    return rel_entr(p, q) + rel_entr(1 - p, 1 - q)


def dilate(mask):
    return maximum_filter(mask, size=(1, 1, 3, 3, 3), mode="constant", cval=0)


def mean_where(values, mask, weights=1.0):
    """The mean over regions of each one's weighted mean in its mask, 0 where that is empty."""
    weights = mask * weights * np.ones_like(values)
    total = np.maximum(weights.sum(ALL_BUT_CHANNELS), 1e-9)
    return ((values * weights).sum(ALL_BUT_CHANNELS) / total).mean()


def trust(exclusive):
    """What the gate says where the label is known: the probability of the truth."""
    p, truth = sharpen(T, exclusive), masks(exclusive)[0]
    return (p * truth).sum(1, keepdims=True) if exclusive else np.where(truth, p, 1 - p)


def softmax_kl(teacher, student, *, axis):
    p, log_p = softmax(teacher, axis), log_softmax(teacher, axis)
    return (p * (log_p - log_softmax(student, axis))).sum(axis)


@each_kind
def test_the_gate_trusts_the_truth_where_it_is_known_and_confidence_elsewhere(exclusive):
    p = sharpen(T, exclusive)
    entropy = entr(p).sum(1, keepdims=True) / np.log(3)
    if not exclusive:
        entropy = (entr(p) + entr(1 - p)) / np.log(2)
    said = ReliabilityGate()(TEACHER, hide(label_of(exclusive)), exclusive=exclusive)
    np.testing.assert_allclose(said, np.concatenate([trust(exclusive)[:1], 1 - entropy[1:]]))


@each_kind
@gated_or_not
def test_balanced_soft_label(exclusive, gated):
    truth, likely = masks(exclusive)
    inside, weights = truth | likely, trust(exclusive) if gated else 1.0
    dilation = 0 if exclusive else 1  # dilated, the classes here would leave no rest
    inside = dilate(inside) if dilation else inside
    found = diverge(*(sharpen(x / 3, exclusive) for x in (T, S)), exclusive)
    halves = [mean_where(found, part, weights) for part in (inside, ~inside)]
    settings = {"exclusive": exclusive, "gate": ReliabilityGate() if gated else None}
    term = BalancedSoftLabelTerm(temperature=3.0, dilation=dilation, **settings)
    assert_agrees(term, 9 * sum(halves) / 2, label=label_of(exclusive))


@each_kind
def test_plain_soft_label(exclusive):
    found = diverge(*(sharpen(x / 3, exclusive) for x in (T, S)), exclusive)
    term = BalancedSoftLabelTerm(temperature=3.0, exclusive=exclusive, balanced=False)
    assert_agrees(term, 9 * found.mean(), label=label_of(exclusive))


@each_kind
def test_boundary(exclusive):
    truth, _ = masks(exclusive)
    found = diverge(*(sharpen(x / 2, exclusive) for x in (T, S)), exclusive)
    expected = 4 * mean_where(found, dilate(truth) & dilate(~truth))
    term = BoundaryTerm(temperature=2.0, exclusive=exclusive)
    assert_agrees(term, expected, label=label_of(exclusive))


@each_kind
@gated_or_not
@pytest.mark.parametrize("hard", [False, True])
def test_soft_overlap(exclusive, gated, hard):
    p = masks(exclusive)[1].astype(float) if hard else sharpen(T, exclusive)
    q, g = sharpen(S, exclusive), trust(exclusive) if gated else 1.0
    overlap = 2 * (g * p * q).sum(ALL_BUT_CHANNELS) + 1e-5
    dice = overlap / ((g * (p**2 + q**2)).sum(ALL_BUT_CHANNELS) + 1e-5)
    expected = (1 - dice).mean() + (g * diverge(p, q, exclusive)).mean()
    gate = ReliabilityGate() if gated else None
    term = SoftOverlapTerm(hard=hard, exclusive=exclusive, gate=gate)
    assert_agrees(term, expected, label=label_of(exclusive))


def channelwise(*, axis):
    """`(B, C, V)`: over voxels is axis 2."""
    teacher, student = (halve(x).reshape(2, 3, -1) / 4 for x in (T, S))
    return 16 * softmax_kl(teacher, student, axis=axis).mean()


def test_channelwise():
    assert_agrees(ChannelwiseTerm(), channelwise(axis=2))
    assert ChannelwiseTerm()(PAIR, REGION_LABEL) != pytest.approx(channelwise(axis=1), rel=0.05)


def soft_label(*, axis, labelled=2):
    """Of the first windows alone the label is known."""
    log_q = np.moveaxis(log_softmax(S, axis), 1, -1)
    entropy = -np.take_along_axis(log_q, CLASSES[..., None], -1)[:labelled]
    told = 0.3 * 9 * softmax_kl(T / 3, S / 3, axis=axis).mean()
    return told + 0.7 * (entropy.mean() if labelled else 0.0)


@pytest.mark.parametrize("wrong_axis", [0, 2, 3, 4])
def test_soft_label(wrong_axis):
    term = SoftLabelTerm(alpha=0.3, temperature=3.0)
    assert_agrees(term, soft_label(axis=1), label=CLASS_LABEL)
    assert term(PAIR, CLASS_LABEL) != pytest.approx(soft_label(axis=wrong_axis), rel=0.05)


def test_soft_label_takes_the_truth_of_labelled_windows_alone():
    term = SoftLabelTerm(alpha=0.3, temperature=3.0)
    assert_agrees(term, soft_label(axis=1, labelled=1), label=hide(CLASS_LABEL))
    nothing = torch.full_like(CLASS_LABEL, -1)
    assert_agrees(term, soft_label(axis=1, labelled=0), label=nothing)


def nest(logits):
    """Logits of TC, WT, ET, each region's above those of the regions in it."""
    core = logits[:, 2] + abs(logits[:, 0]) + 0.1
    return torch.stack([core, core + abs(logits[:, 1]) + 0.1, logits[:, 2]], dim=1)


def decoupled(teacher, student, *, axis):
    """Zhao et al., equation 7, voxel by voxel; the target is how many regions a voxel lies in."""
    core, wide, inner = np.moveaxis(REGIONS, 1, 0)
    target = np.cumprod([wide, core, inner], axis=0).sum(axis=0)
    p, q = (soften_classes(x.numpy(), axis) for x in (teacher, student))
    found = np.empty(target.shape)
    for voxel in np.ndindex(target.shape):
        known = [np.delete(x[voxel], target[voxel]) for x in (p, q)]
        rest = [others / others.sum() for others in known]
        found[voxel] = bernoulli(p[voxel][target[voxel]], q[voxel][target[voxel]])
        found[voxel] += 3 * divergence(*rest)
    return 4 * (found[target > 0].mean() + found[target == 0].mean()) / 2


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


@each_kind
def test_deep_soft_label(exclusive):
    truth, likely = masks(exclusive)
    p, inside, total = sharpen(T / 2, exclusive), (truth | likely).astype(float), 0.0
    for weight, level in zip((2 / 3, 1 / 3), (HALF, QUARTER), strict=True):
        p, inside = halve(p), halve(inside)
        found = diverge(p, sharpen(level.numpy() / 2, exclusive), exclusive)
        halves = [mean_where(found, part) for part in (inside > 0, inside == 0)]
        total += weight * (found.mean() if exclusive else sum(halves) / 2)
    term = DeepSoftLabelTerm(exclusive=exclusive)
    assert_agrees(term, 4 * total, label=label_of(exclusive))


def dice_loss(probability, share):
    """Least at the share, where the truth is soft; the published one where it is hard."""
    both = probability.sum(ALL_BUT_CHANNELS) + share.sum(ALL_BUT_CHANNELS)
    overlap = both - abs(probability - share).sum(ALL_BUT_CHANNELS)
    return (1 - (overlap + 1e-5) / (both + 1e-5)).mean()


@each_kind
def test_supervised(exclusive):
    share, total = masks(exclusive)[0].astype(float), 0.0
    for weight, level in zip((4 / 7, 2 / 7, 1 / 7), (STUDENT, HALF, QUARTER), strict=True):
        q = sharpen(level.numpy(), exclusive)
        entropy = -share * np.log(q) - (0 if exclusive else (1 - share) * np.log(1 - q))
        entropy = entropy.sum(1).mean() if exclusive else entropy.mean()
        total += weight * (dice_loss(q, share) + entropy)
        share = halve(share) if level is not QUARTER else share
    assert_agrees(SupervisedTerm(exclusive=exclusive), total, label=label_of(exclusive))


def test_of_a_classification_the_truth_is_cross_entropy_alone():
    student, teacher, label = S[:, :, 0, 0, 0], T[:, :, 0, 0, 0], np.array([2, 0])
    entropy = -log_softmax(student, 1)[[0, 1], label].mean()
    expected = 0.5 * 4 * softmax_kl(teacher / 2, student / 2, axis=1).mean() + 0.5 * entropy
    output = DistillationOutput(*(NetworkOutput(torch.tensor(x)) for x in (student, teacher)))
    for given in (torch.tensor(label), torch.tensor(label[:, None], dtype=torch.float32)):
        assert_agrees(SoftLabelTerm(), expected, output=output, label=given)
        assert_agrees(SupervisedTerm(exclusive=True), entropy, output=output, label=given)
