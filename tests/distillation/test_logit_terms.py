"""What single terms on logits promise beyond the laws."""

import math

import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceLoss

from monai_kd.distillation.reading import is_labelled, read_truth
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.boundary_term import BoundaryTerm
from monai_kd.distillation.terms.channelwise_term import ChannelwiseTerm
from monai_kd.distillation.terms.deep_soft_label_term import DeepSoftLabelTerm, pool_logits
from monai_kd.distillation.terms.nested_decoupled_term import NestedDecoupledTerm
from monai_kd.distillation.terms.soft_label_term import SoftLabelTerm
from monai_kd.distillation.terms.soft_overlap_term import SoftOverlapTerm
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.distillation.terms.unlabelled_term import UnlabelledTerm
from monai_kd.distillation.voxels import average_to
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import hide, make_class_label, make_random, make_region_label

SHAPE = (2, 3, 4, 6)
ORDER = (1, 0, 2)  # of nested regions, outermost first
CLASS_LABEL, REGION_LABEL = (
    make(7, torch.float64, 2) for make in (make_class_label, make_region_label)
)


def pair(student, teacher, deep=()):
    levels = {f"deep.{place}": level for place, level in enumerate(deep, start=1)}
    return DistillationOutput(NetworkOutput(student, levels), NetworkOutput(teacher))


def random_pair():
    return pair(*(make_random(seed, SHAPE) for seed in (1, 2)))


@pytest.mark.parametrize("make_label", [torch.zeros, torch.ones])
def test_regions_without_surface_have_no_boundary(make_label):
    assert BoundaryTerm()(random_pair(), make_label(SHAPE)) == 0


def test_channelwise_looks_at_the_last_voxel_of_odd_edges_too():
    student, teacher = (make_random(seed, (1, 1, 5, 5)) for seed in (1, 2))
    moved = student.clone()
    moved[..., 4, 4] += 3
    values = [ChannelwiseTerm()(pair(x, teacher), REGION_LABEL) for x in (student, moved)]
    assert values[0] != values[1]


def nest(*logits):
    """One voxel of WT, TC, ET."""
    return torch.tensor([logits[1], logits[0], logits[2]], dtype=torch.float64).reshape(1, 3, 1, 1)


def nested_gradient(base, temperature):
    """How large the student's gradient is where both are almost at the same logits."""
    student, teacher = (base + 0.01 * said.logits for said in random_pair())
    term = NestedDecoupledTerm(order=ORDER, temperature=temperature)
    term(pair(student.requires_grad_(), teacher), REGION_LABEL).backward()
    return student.grad.norm()


@pytest.mark.parametrize("temperature", [2.0, 4.0, 8.0])
def test_temperature_keeps_the_gradients_scale_where_nested_classes_are_alike(temperature):
    alike = nest(math.log(3), 0.0, -math.log(3))
    growth = nested_gradient(alike, temperature) / nested_gradient(alike, 1.0)
    assert growth == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("base", [(0.0, 0.0, 0.0), (6.0, 0.0, -6.0)])
def test_gradients_of_nested_classes_that_are_not_alike_grow_with_temperature(base):
    assert 1.5 < nested_gradient(nest(*base), 8.0) / nested_gradient(nest(*base), 1.0) < 6


def test_nested_classes_are_the_differences_of_nested_regions():
    logits = nest(4.0, 1.0, -2.0)
    core, wide, inner = torch.sigmoid(logits).flatten()
    expected = torch.stack([1 - wide, wide - core, core - inner, inner])
    found = NestedDecoupledTerm(order=ORDER)._class_logits(logits).softmax(dim=1).flatten()
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0)


def test_a_student_whose_regions_are_not_nested_is_led_back_without_a_cliff():
    norms = []
    for outer in torch.linspace(-1, 2, 61).tolist():
        logits = nest(outer, 0.0, -2.0).requires_grad_()
        unknown = torch.full_like(logits, -1)
        NestedDecoupledTerm(order=ORDER)(pair(logits, nest(4.0, 0.0, -2.0)), unknown).backward()
        norms.append(logits.grad.norm().item())
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] > 0.1
    assert norms[0] < 2


def test_nested_target_of_unlabelled_windows_is_what_the_teacher_holds_likeliest():
    teacher = torch.full((1, 3, 1, 4), -9.0)
    teacher[0, 1, 0, 1:] = 9  # WT
    teacher[0, 0, 0, 2:] = 8  # TC
    teacher[0, 2, 0, 3:] = 7  # ET
    term = NestedDecoupledTerm(order=ORDER)
    truth = read_truth(torch.full_like(teacher, -1), teacher)
    target = term._find_target(term._class_logits(teacher), *truth)
    assert target.flatten().tolist() == [0, 1, 2, 3]


def test_pooling_to_the_same_grid_keeps_the_logits():
    logits = make_random(1, SHAPE, scale=10.0)
    pooled = pool_logits(logits, (4, 6), temperature=2.0, exclusive=False)
    torch.testing.assert_close(pooled, logits)


def test_a_student_without_levels_is_told_what_to_do():
    with pytest.raises(ValueError, match=r"no coarser levels.*StageHeadsTerm"):
        DeepSoftLabelTerm()(random_pair(), REGION_LABEL)


@pytest.mark.parametrize(("exclusive", "label"), [(False, REGION_LABEL), (True, CLASS_LABEL)])
def test_a_perfect_student_owes_nothing_to_the_labels(exclusive, label):
    masks, _ = read_truth(label, random_pair().student.logits, exclusive=exclusive)
    perfect = DistillationOutput(NetworkOutput(200.0 * masks - 100))
    assert SupervisedTerm(exclusive=exclusive)(perfect, label) < 1e-4


def test_half_precision_of_logits_costs_the_labels_no_accuracy():
    half, label = torch.randn(2, 3, 32, 32, 32).bfloat16(), torch.rand(2, 3, 32, 32, 32).round()
    values = [SupervisedTerm()(pair(x, x), label) for x in (half, half.float())]
    torch.testing.assert_close(*values)


def test_a_rim_of_one_voxel_is_kept_where_the_nearest_voxel_loses_it():
    rim, nothing = torch.zeros(1, 1, 8, 8), torch.full((1, 1, 2, 2), -100.0)
    rim[..., 4] = 1
    shares = average_to(rim, (2, 2))
    torch.testing.assert_close(shares, torch.tensor([[[[0.0, 0.25], [0.0, 0.25]]]]))
    dice = DiceLoss(sigmoid=True)
    assert DeepSupervisionLoss(dice)([nothing], rim) == dice(nothing, torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float32])
def test_class_labels_of_any_type_are_welcome(kind):
    term, output = SupervisedTerm(exclusive=True), random_pair()
    assert torch.equal(term(output, CLASS_LABEL.to(kind)), term(output, CLASS_LABEL))


@pytest.mark.parametrize("term", [SoftLabelTerm(), SupervisedTerm(exclusive=True)])
def test_labels_that_are_no_class_indices_are_refused(term):
    with pytest.raises(ValueError, match=r"is \(2, 3, 4, 6\).*expected class indices \(2, 1, 4"):
        term(random_pair(), REGION_LABEL)
    with pytest.raises(ValueError, match="holds class 3, the network has 3 classes, 0 to 2"):
        term(random_pair(), CLASS_LABEL + 1)


def test_softmax_over_one_channel_is_refused():
    one = make_random(1, (2, 1, 4, 6), torch.float32)
    with pytest.raises(ValueError, match="one channel"):
        SoftLabelTerm()(pair(one, one), CLASS_LABEL)


@pytest.mark.parametrize(
    "term", [BalancedSoftLabelTerm(), SoftOverlapTerm(), ChannelwiseTerm(), SoftLabelTerm()]
)
def test_a_teacher_of_other_classes_is_refused(term):
    student, teacher = (make_random(1, (2, channels, 4, 6), torch.float32) for channels in (3, 4))
    with pytest.raises(ValueError, match=r"teacher's logits are \(2, 4, 4, 6\), the student's"):
        term(pair(student, teacher), REGION_LABEL)


def test_unlabelled_term_sees_unlabelled_windows_alone():
    inner, output, label = SoftOverlapTerm(), random_pair(), hide(REGION_LABEL)
    last = pair(*(said.logits[-1:] for said in output))
    assert torch.equal(UnlabelledTerm(inner)(output, label), inner(last, label[-1:]))
    assert UnlabelledTerm(inner)(output, REGION_LABEL) == 0


def test_nothing_to_compare_is_zero_even_where_a_sum_would_overflow():
    logits = torch.full((2, 3, 64, 64), 50.0, dtype=torch.float16).requires_grad_()
    loss = UnlabelledTerm(SoftOverlapTerm())(pair(logits, logits), torch.zeros(2, 3, 64, 64))
    loss.backward()
    assert loss == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize(
    ("term", "arguments"),
    [
        (BalancedSoftLabelTerm, {"temperature": 0.0}),
        (BalancedSoftLabelTerm, {"dilation": -1}),
        (BoundaryTerm, {"thickness": 0}),
        (ChannelwiseTerm, {"stride": 0}),
        (DeepSoftLabelTerm, {"temperature": -1.0}),
        (DeepSoftLabelTerm, {"temperature": -1.0, "exclusive": True}),
        (NestedDecoupledTerm, {"order": ORDER, "temperature": 0.0}),
        (NestedDecoupledTerm, {"order": ORDER, "other_weight": -1.0}),
        (SoftLabelTerm, {"alpha": 1.5}),
        (SoftLabelTerm, {"temperature": 0.0}),
        *[(NestedDecoupledTerm, {"order": order}) for order in ((0,), (0, 0, 1), (1, 2, 3))],
    ],
)
def test_impossible_settings_are_refused(term, arguments):
    complaint = "each channel once" if arguments.keys() == {"order"} else "must be above 0"
    with pytest.raises(ValueError, match=complaint):
        term(**arguments)


def test_an_order_of_other_regions_is_refused():
    with pytest.raises(ValueError, match=r"give 3 regions, order=\[0, 1\] names 2"):
        NestedDecoupledTerm(order=(0, 1))(random_pair(), REGION_LABEL)


@pytest.mark.parametrize(
    "term",
    [
        BalancedSoftLabelTerm(),
        BoundaryTerm(),
        DeepSoftLabelTerm(),
        NestedDecoupledTerm(order=ORDER),
        SoftOverlapTerm(gate=ReliabilityGate()),
        SupervisedTerm(),
    ],
)
def test_a_label_of_other_regions_is_refused(term):
    logits = make_random(1, SHAPE)
    output = pair(logits, logits, deep=[logits[..., ::2]])
    with pytest.raises(ValueError, match=r"label is \(2, 1, 4, 6\) and the logits are \(2, 3, 4"):
        term(output, REGION_LABEL[:, :1])


def test_unlabelled_term_needs_a_teacher_where_its_term_does():
    assert UnlabelledTerm(SoftOverlapTerm()).needs_teacher
    assert not UnlabelledTerm(SupervisedTerm()).needs_teacher


def test_no_window_at_all_is_no_loss():
    nothing = torch.zeros(0, 3, 4, 4)
    assert not is_labelled(nothing).any()
    assert BoundaryTerm()(pair(nothing.clone().requires_grad_(), nothing), nothing) == 0
