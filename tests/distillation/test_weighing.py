import copy

import pytest
import torch
from torch import nn

from monai_kd.distillation.weighing import GradientRatioWeighing, RunningMeanWeighing

NAMES = ("supervised", "soft_label")


def values(supervised, soft_label):
    return dict(zip(NAMES, torch.tensor([supervised, soft_label]), strict=True))


def test_every_term_is_scaled_to_the_size_of_the_first():
    weighing = RunningMeanWeighing(NAMES)
    factors = weighing(values(2.0, 0.5))
    assert [factors[name].item() for name in NAMES] == [1.0, 4.0]


def test_factors_follow_the_mean_and_not_the_last_value():
    weighing = RunningMeanWeighing(NAMES)
    weighing(values(1.0, 1.0))
    assert weighing(values(1.0, 3.0))["soft_label"] == pytest.approx(1 / 2)


def test_the_mean_forgets_what_lies_beyond_its_window():
    weighing = RunningMeanWeighing(NAMES, window=2)
    for size in (100.0, *[1.0] * 20):
        factors = weighing(values(1.0, size))
    assert factors["soft_label"] == pytest.approx(1, abs=0.01)


def test_a_batch_with_nothing_to_compare_is_not_counted():
    weighing = RunningMeanWeighing(NAMES)
    weighing(values(2.0, 1.0))
    assert weighing(values(0.0, 1.0))["soft_label"] == 2


def test_a_term_that_joins_late_starts_from_its_own_first_values():
    weighing = RunningMeanWeighing(NAMES)
    for _ in range(5):
        weighing({"supervised": torch.tensor(3.0)})
    assert weighing(values(3.0, 6.0))["soft_label"] == pytest.approx(0.5)


def test_terms_that_were_never_counted_keep_their_scale():
    assert RunningMeanWeighing(NAMES).eval()(values(5.0, 7.0)) == values(1.0, 1.0)


def test_evaluation_learns_nothing_and_state_survives_a_checkpoint():
    weighing = RunningMeanWeighing(NAMES)
    factors = weighing(values(2.0, 0.5))
    resumed = RunningMeanWeighing(NAMES)
    resumed.load_state_dict(copy.deepcopy(weighing.state_dict()))
    assert resumed.eval()(values(9.0, 9.0)) == factors


def test_factors_carry_no_gradient():
    loss = torch.tensor(2.0, requires_grad=True)
    factors = RunningMeanWeighing(NAMES)({"supervised": loss, "soft_label": 3 * loss})
    assert not any(factor.requires_grad for factor in factors.values())


def measure(scale, **arguments):
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    weighing = GradientRatioWeighing(NAMES, parameters=[weight], **arguments)
    return weighing, lambda s=scale: {
        "supervised": weight.square().sum(),
        "soft_label": s * weight.square().sum(),
    }


def test_factors_make_gradients_equally_large():
    weighing, evaluate = measure(4.0)
    assert weighing(evaluate())["soft_label"] == pytest.approx(1 / 4)


def test_gradients_are_measured_at_intervals_and_smoothed():
    weighing, evaluate = measure(4.0, interval=2, smoothing=0.5)
    factors = [weighing(evaluate(scale))["soft_label"].item() for scale in (4.0, 1.0, 1.0)]
    assert factors == pytest.approx([0.25, 0.25, (0.25 + 1) / 2])


def test_a_term_without_gradient_keeps_its_scale_until_it_is_measured():
    weighing, evaluate = measure(0.0, interval=1)
    assert weighing(evaluate())["soft_label"] == 1
    assert weighing(evaluate(4.0))["soft_label"] == pytest.approx(1 / 4)


def test_measuring_leaves_gradients_and_graph_alone():
    weighing, evaluate = measure(4.0)
    losses = evaluate()
    weighing(losses)
    assert weighing.parameters_measured[0].grad is None
    losses["supervised"].backward()
    assert list(weighing.parameters()) == []


@pytest.mark.parametrize("kind", ["mean", "gradient"])
def test_a_term_that_is_not_weighed_is_named(kind):
    weighing = RunningMeanWeighing(NAMES) if kind == "mean" else measure(1.0)[0]
    with pytest.raises(ValueError, match="not 'hidden': add it"):
        weighing({"hidden": torch.tensor(1.0)})


@pytest.mark.parametrize("arguments", [{"interval": 0}, {"smoothing": 1.0}])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="interval must be 1 step or more"):
        measure(1.0, **arguments)
    with pytest.raises(ValueError, match="window=0"):
        RunningMeanWeighing(NAMES, window=0)


@pytest.mark.parametrize("size", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_for_once_spoils_no_mean(size):
    weighing = RunningMeanWeighing(NAMES)
    weighing(values(2.0, 1.0))
    weighing(values(2.0, size))
    assert weighing(values(2.0, 1.0))["soft_label"] == 2


def test_a_gradient_that_is_not_finite_for_once_spoils_no_factor():
    weighing, evaluate = measure(4.0, interval=1)
    weighing(evaluate())
    assert weighing(evaluate(float("inf")))["soft_label"] == pytest.approx(1 / 4)


def test_no_names_at_all_are_refused():
    with pytest.raises(ValueError, match="leave names out to weigh them all"):
        RunningMeanWeighing([])
