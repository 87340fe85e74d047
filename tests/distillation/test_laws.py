"""Laws that every term obeys, feature terms as well as those on logits."""

import pytest
import torch
from torch.func import functional_call

from monai_kd.distillation.voxels import find_masks
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import CASES, SPACE, Case, hide


def name_of(value):
    if not isinstance(value, Case):
        return None
    return f"{value.term.__name__} {value.settings} {value.make_output.__name__}"


def law(keep=lambda _: True):
    return pytest.mark.parametrize("case", [case for case in CASES if keep(case)], ids=name_of)


def in_each_dimension():
    pairs = [(case, dims) for case in CASES for dims in SPACE]
    return pytest.mark.parametrize(("case", "dims"), pairs, ids=name_of)


def make(case, *, dims=3, dtype=torch.float64):
    """The term with the same weights at each call, an output and a label."""
    output = case.make_output(1, dtype, dims)
    term = case.fit(output).to(torch.float32 if dtype is torch.bfloat16 else dtype)
    return term, output, case.make_label(7, torch.float32, dims)


learning = law(lambda case: list(make(case)[0].parameters()))


def change(output, function):
    """The same of every tensor in an output, which `function` gets with its name."""

    def change_one(said):
        features = {name: function(name, value) for name, value in said.features.items()}
        return NetworkOutput(function("logits", said.logits), features)

    teacher = None if output.teacher is None else change_one(output.teacher)
    return DistillationOutput(change_one(output.student), teacher)


def anew(output, function):
    """`change`, and the student's tensors are leaves again."""
    changed = change(output, lambda name, value: function(name, value.detach()).clone())
    for tensor in list_student(changed):
        tensor.requires_grad_()
    return changed


def list_student(output):
    return [output.student.logits, *output.student.features.values()]


def list_gradients(term, output, label):
    """Of student and projector, zero where a term does not look."""
    wanted = [*list_student(output), *term.parameters()]
    return torch.autograd.grad(
        term(output, label), wanted, allow_unused=True, materialize_grads=True
    )


def gradient_norm(term, output, label):
    return torch.stack([x.norm() for x in list_gradients(term, output, label)]).norm()


@law(lambda case: case.equal)
def test_student_that_equals_the_teacher_owes_nothing_and_another_does(case):
    term, output, label = make(case)
    same = DistillationOutput(output.teacher, output.teacher)
    assert term(same, label).abs() < 1e-10
    assert term(output, label) > 1e-4


@law()
def test_gradient_reaches_the_student_and_every_weight_of_the_projector(case):
    term, output, label = make(case)
    term(output, label).backward()
    student = [x.grad for x in list_student(output) if x.grad is not None]
    assert sum(gradient.abs().sum() for gradient in student) > 0
    for name, weight in term.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@law(lambda case: case.needs_teacher)
def test_no_gradient_reaches_the_teacher_and_nothing_changes_it(case):
    term, output, label = make(case)
    teacher = [output.teacher.logits, *output.teacher.features.values()]
    for tensor in teacher:
        tensor.requires_grad_()
    before = [tensor.detach().clone() for tensor in teacher]
    term(output, label).backward()
    assert all(torch.equal(*pair) for pair in zip(teacher, before, strict=True))
    assert all(tensor.grad is None for tensor in teacher)


@law()
def test_gradients_agree_with_finite_differences(case):
    term, output, label = make(case)
    taps = list(output.student.features)
    learned = [name for name, _ in term.named_parameters()]

    def evaluate(logits, *others):
        said = NetworkOutput(logits, dict(zip(taps, others[: len(taps)], strict=True)))
        weights = dict(zip(learned, others[len(taps) :], strict=True))
        return functional_call(term, weights, (DistillationOutput(said, output.teacher), label))

    tensors = [*list_student(output), *term.parameters()]
    assert torch.autograd.gradcheck(evaluate, tensors, fast_mode=True)


@learning
def test_a_term_that_was_not_fitted_says_so_and_does_not_learn_in_vain(case):
    _, output, label = make(case)
    with pytest.raises(RuntimeError, match=r"call fit\(output\) of the term before the optimiser"):
        case.term(**case.settings).double()(output, label)


@learning
def test_what_is_learned_lies_where_the_features_lie(case):
    output = change(case.make_output(1, torch.float32, 3), lambda _, x: x.detach().to("meta"))
    term = case.fit(output)
    assert {weight.device.type for weight in term.parameters()} == {"meta"}


@in_each_dimension()
def test_order_of_the_batch_changes_nothing(case, dims):
    term, output, label = make(case, dims=dims)
    turned = change(output, lambda _, value: value.flip(0))
    torch.testing.assert_close(term(turned, label.flip(0)), term(output, label))


@law(lambda case: case.permutable)
def test_order_of_spatial_axes_changes_nothing(case):
    term, output, label = make(case)

    def turn(_, value):
        return value.transpose(2, 4) if value.ndim == 5 else value

    torch.testing.assert_close(term(change(output, turn), turn("", label)), term(output, label))


@law(lambda case: case.tempered)
@pytest.mark.parametrize("temperature", [2.0, 4.0, 8.0])
def test_temperature_keeps_the_scale_of_gradients_of_small_logits(case, temperature):
    _, output, label = make(case)
    small = anew(output, lambda _, value: 0.01 * value)
    terms = (case.fit(output, temperature=t).double() for t in (1.0, temperature))
    first, second = (gradient_norm(term, small, label) for term in terms)
    assert second / first == pytest.approx(1, abs=0.1)


SITUATIONS = {
    "background": lambda name, value: torch.full_like(value, -5.0 if name == "logits" else 0.0),
    "one voxel": lambda _, value: value,
    "logits of 50": lambda name, value: 50 * value.sign() if name == "logits" else value,
    "all of 50": lambda _, value: 50 * value.sign(),
}


@law()
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_value_and_gradients_stay_finite(case, situation, dtype):
    term, output, label = make(case, dtype=dtype)
    output = anew(output, SITUATIONS[situation])
    if situation in ("background", "one voxel"):
        label = torch.zeros_like(label)
        label.view(-1)[-1] = float(situation == "one voxel")
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        value = term(output, label)
    value.backward()
    tensors = [*list_student(output), *term.parameters()]
    assert torch.isfinite(value)
    assert all(torch.isfinite(x.grad).all() for x in tensors if x.grad is not None)


@law()
def test_value_is_one_number_in_single_precision_at_least(case):
    term, output, label = make(case, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        value = term(output, label)
    assert value.shape == ()
    assert value.dtype == torch.float32


@law(lambda case: case.unlabelled == "same")
def test_terms_that_need_no_label_do_not_miss_it(case):
    term, output, label = make(case)
    assert torch.equal(term(output, hide(label)), term(output, label))


@law(lambda case: case.unlabelled == "mask")
def test_unlabelled_windows_take_the_teachers_mask_for_the_truth(case):
    term, output, label = make(case)
    mask = find_masks(output.teacher.logits, exclusive=case.settings.get("exclusive", False))
    judged = mask.long().argmax(dim=1, keepdim=True) if label.shape[1] == 1 else mask
    seen = torch.cat([label[:-1], judged[-1:].to(label)])
    torch.testing.assert_close(term(output, hide(label)), term(output, seen))


@law()
def test_an_unlabelled_window_stays_one_where_augmentation_pads_it(case):
    term, output, label = make(case)
    hidden = hide(label)
    padded = hidden.clone()
    padded[-1, ..., : padded.shape[-1] // 2] = 0
    assert torch.equal(term(output, padded), term(output, hidden))


@law(lambda case: case.needs_teacher)
def test_teacher_teaches_in_unlabelled_windows(case):
    term, output, label = make(case)
    term(output, torch.full_like(label, -1)).backward()
    gradients = [x.grad for x in list_student(output) if x.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(gradient[-1].abs().sum() for gradient in gradients) > 0


@law(lambda case: case.unlabelled == "skipped")
def test_supervised_terms_skip_unlabelled_windows(case):
    term, output, label = make(case)
    rest = change(output, lambda _, value: value[:-1])
    torch.testing.assert_close(term(output, hide(label)), term(rest, label[:-1]))
    assert gradient_norm(term, output, torch.full_like(label, -1)) == 0


@law(lambda case: case.needs_teacher)
def test_a_missing_teacher_is_named(case):
    term, output, label = make(case)
    with pytest.raises(ValueError, match="needs a teacher"):
        term(DistillationOutput(output.student), label)


@law(lambda case: not case.needs_teacher)
def test_supervised_terms_need_no_teacher(case):
    term, output, label = make(case)
    alone = term(DistillationOutput(output.student), label)
    assert torch.equal(alone, term(output, label))
    assert term.needs_teacher is False
