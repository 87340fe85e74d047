import pytest
import torch

from monai_kd.distillation import BalancedSoftLabelTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput

SHAPE = (2, 3, 6, 6, 6)


def pair(student, teacher):
    return DistillationOutput(NetworkOutput(student), NetworkOutput(teacher))


def random_logits(seed, *, shape=SHAPE, dtype=torch.float64):
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_label(seed=7, *, shape=SHAPE):
    return (random_logits(seed, shape=shape) > 2).double()


def test_equal_logits_give_zero_divergence():
    logits = random_logits(1)
    assert BalancedSoftLabelTerm()(pair(logits, logits), random_label()).abs() < 1e-12


def test_unequal_logits_give_a_positive_divergence():
    assert BalancedSoftLabelTerm()(pair(random_logits(1), random_logits(2)), random_label()) > 0.01


def test_gradient_reaches_the_student_and_never_the_teacher():
    student, teacher = random_logits(1).requires_grad_(), random_logits(2).requires_grad_()
    BalancedSoftLabelTerm()(pair(student, teacher.detach()), random_label()).backward()
    assert student.grad.abs().min() > 0
    assert teacher.grad is None


def test_gradient_agrees_with_finite_differences():
    shape = (1, 2, 3, 3, 3)
    teacher, label = random_logits(2, shape=shape), random_label(shape=shape)
    student = random_logits(1, shape=shape).requires_grad_()
    term = BalancedSoftLabelTerm(temperature=1.5)
    assert torch.autograd.gradcheck(lambda s: term(pair(s, teacher), label), student)


def test_agrees_with_the_formula_written_out():
    student, teacher, label = random_logits(1), random_logits(2), random_label()
    p, q = torch.sigmoid(teacher / 2), torch.sigmoid(student / 2)
    divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    foreground = (label > 0.5) | (teacher > 0)
    expected = 0.0
    for region in range(3):
        values, inside = divergence[:, region], foreground[:, region]
        expected += 4 * 0.5 * (values[inside].mean() + values[~inside].mean()) / 3
    term = BalancedSoftLabelTerm(temperature=2.0, dilation=0)
    torch.testing.assert_close(term(pair(student, teacher), label), expected)


@pytest.mark.parametrize("order", [(0, 1, 3, 2, 4), (0, 1, 4, 3, 2)])
def test_order_of_spatial_axes_changes_nothing(order):
    student, teacher, label = random_logits(1), random_logits(2), random_label()
    turned = [x.permute(order) for x in (student, teacher, label)]
    term = BalancedSoftLabelTerm()
    torch.testing.assert_close(
        term(pair(student, teacher), label), term(pair(turned[0], turned[1]), turned[2])
    )


def test_order_of_the_batch_changes_nothing():
    student, teacher, label = random_logits(1), random_logits(2), random_label()
    term = BalancedSoftLabelTerm()
    torch.testing.assert_close(
        term(pair(student, teacher), label),
        term(pair(student.flip(0), teacher.flip(0)), label.flip(0)),
    )


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0, 8.0])
def test_temperature_keeps_the_scale_of_gradients_of_small_logits(temperature):
    def gradient_norm(t):
        student = (0.01 * random_logits(1)).requires_grad_()
        teacher = 0.01 * random_logits(2)
        BalancedSoftLabelTerm(temperature=t)(pair(student, teacher), random_label()).backward()
        return student.grad.norm()

    assert gradient_norm(temperature) / gradient_norm(1.0) == pytest.approx(1, abs=0.1)


def test_rare_foreground_weighs_as_much_as_all_background():
    label = torch.zeros(1, 1, 8, 8, 8)
    label[..., 4, 4, 4] = 1
    teacher = torch.full_like(label, -5.0)
    wrong_inside = torch.where(label > 0, 5.0, -5.0)
    term = BalancedSoftLabelTerm(dilation=0)
    inside = term(pair(wrong_inside, teacher), label)
    outside = term(pair(torch.where(label > 0, -5.0, 5.0), teacher), label)
    torch.testing.assert_close(inside, outside)


@pytest.mark.parametrize("scale", [50.0, -50.0])
def test_extreme_logits_and_empty_foreground_stay_finite(scale):
    student = torch.full(SHAPE, scale, requires_grad=True)
    loss = BalancedSoftLabelTerm()(pair(student, torch.full(SHAPE, -50.0)), torch.zeros(SHAPE))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_two_dimensional_windows_are_welcome():
    logits = random_logits(1, shape=(2, 3, 8, 8))
    assert BalancedSoftLabelTerm()(pair(-logits, logits), (logits > 0).double()) > 0


def test_a_missing_teacher_is_named():
    output = DistillationOutput(NetworkOutput(random_logits(1)))
    with pytest.raises(ValueError, match="needs a teacher"):
        BalancedSoftLabelTerm()(output, random_label())


@pytest.mark.parametrize("arguments", [{"temperature": 0.0}, {"dilation": -1}])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="must be above 0"):
        BalancedSoftLabelTerm(**arguments)
