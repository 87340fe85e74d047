import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import ParamSchedulerHandler
from torch import nn

from monai_kd.distillation.distillation_loss import DistillationLoss, ramp_up_and_down
from monai_kd.distillation.distiller import Distiller
from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.hidden_term import HiddenTerm
from monai_kd.distillation.terms.latent_term import LatentTerm
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.distillation.terms.unlabelled_term import UnlabelledTerm
from monai_kd.distillation.weighing import RunningMeanWeighing
from monai_kd.outputs import DistillationOutput, NetworkOutput

LABEL = torch.ones(2, 3, 4, 4)
ALONE = DistillationOutput(NetworkOutput(torch.linspace(-3, 3, 96).reshape(2, 3, 4, 4)))
OUTPUT = DistillationOutput(ALONE.student, NetworkOutput(-ALONE.student.logits))


def make_loss(*, supervised=1.0, soft_label=1.0, weighing=None):
    terms = {
        "supervised": SupervisedTerm(weight=supervised),
        "soft_label": BalancedSoftLabelTerm(weight=soft_label),
    }
    return DistillationLoss(terms, weighing=weighing)


def test_a_term_of_weight_zero_is_not_computed():
    loss = make_loss(soft_label=0.0)
    assert torch.equal(loss(ALONE, LABEL), SupervisedTerm()(ALONE, LABEL))


@pytest.mark.parametrize(("weight", "ramp"), [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_the_teacher_is_run_while_a_term_that_needs_it_counts(weight, ramp):
    loss, student, teacher = make_loss(soft_label=weight), *(nn.Conv2d(4, 3, 1) for _ in "ST")
    runs = []
    teacher.register_forward_hook(lambda *_: runs.append(1))
    loss.set_ramp(ramp)
    distiller = Distiller(student, teacher=teacher, wants_teacher=loss.wants_teacher)
    loss(distiller(torch.randn(2, 4, 4, 4)), LABEL)
    assert len(runs) == loss.wants_teacher() == (weight * ramp > 0)


def test_loss_is_the_weighted_sum_of_its_terms_and_the_ramp_scales_what_needs_the_teacher():
    loss = make_loss(supervised=2.0, soft_label=0.5)
    supervised, soft_label = (term(OUTPUT, LABEL) for term in loss.terms.values())
    for ramp in (1.0, 0.25):
        loss.set_ramp(ramp)
        expected = 2 * supervised + ramp * 0.5 * soft_label
        torch.testing.assert_close(loss(OUTPUT, LABEL), expected)


def test_weighing_makes_weights_shares_of_the_loss():
    loss = make_loss(soft_label=0.5, weighing=RunningMeanWeighing())
    supervised = loss.terms["supervised"](OUTPUT, LABEL)
    torch.testing.assert_close(loss(OUTPUT, LABEL), 1.5 * supervised)


def test_a_loss_of_nothing_is_zero_and_has_a_gradient_of_zero():
    logits = ALONE.student.logits.clone().requires_grad_()
    loss = make_loss(supervised=0.0, soft_label=0.0)
    loss(DistillationOutput(NetworkOutput(logits)), LABEL).backward()
    assert logits.grad.abs().sum() == 0


def test_a_ramp_rises_stays_and_falls_and_is_one_throughout_without_bounds():
    ramp = [ramp_up_and_down(step, up=4, down=2, steps=10) for step in range(1, 11)]
    assert ramp == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5, 0]
    assert {ramp_up_and_down(step) for step in range(1, 100)} == {1.0}


def test_monais_handler_turns_the_ramp():
    loss, ramps = make_loss(), []
    handler = ParamSchedulerHandler(
        loss.set_ramp,
        ramp_up_and_down,
        vc_kwargs={"up": 2},
        epoch_level=True,
        event=Events.EPOCH_STARTED,
    )
    trainer = Engine(lambda *_: ramps.append(loss.ramp))
    handler.attach(trainer)
    trainer.run([0, 1], max_epochs=3)
    assert ramps == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("arguments", [{"down": 3}, {"down": 3, "steps": 2}, {"up": -1}])
def test_a_ramp_that_cannot_be_is_refused(arguments):
    with pytest.raises(ValueError, match="ramp down the number of all steps"):
        ramp_up_and_down(1, **arguments)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "much", True, None])
def test_a_weight_that_is_no_number_from_zero_on_is_refused_with_its_term(weight):
    with pytest.raises(ValueError, match=r"term 'soft_label' has the weight .*, expected a number"):
        make_loss(soft_label=weight)


def test_a_loss_without_terms_or_with_a_foreign_one_is_refused():
    with pytest.raises(ValueError, match="the loss has no term"):
        DistillationLoss({})
    with pytest.raises(ValueError, match=r"'own' is MSELoss, expected a monai_kd"):
        DistillationLoss({"own": nn.MSELoss()})


def test_taps_are_those_of_all_terms_and_their_projectors_are_built_before_any_step():
    terms = {
        "latent": LatentTerm(student_tap="0", teacher_tap="0"),
        "unlabelled": UnlabelledTerm(HiddenTerm(student_tap="1", teacher_tap="1"), weight=0.5),
    }
    student, teacher = (nn.Sequential(nn.Conv2d(4, n, 1), nn.Conv2d(n, 3, 1)) for n in (5, 6))
    before = [weight.clone() for weight in student.parameters()]
    loss = DistillationLoss(terms, student=student, teacher=teacher, probe=(1, 4, 4, 4))
    assert (loss.student_taps, loss.teacher_taps) == (("0", "1"), ("0", "1"))
    assert loss.weights == {"latent": 1.0, "unlabelled": 0.5}
    assert [tuple(p.shape) for p in loss.parameters()] == [(6, 5, 1, 1), (6,)]
    assert all(map(torch.equal, before, student.parameters()))
