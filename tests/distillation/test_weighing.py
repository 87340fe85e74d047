import copy

import pytest
import torch

from monai_kd.distillation.weighing import RunningMeanWeighing

NAMES = ("supervised", "soft_label")


def make_weighing(**arguments):
    weighing = RunningMeanWeighing(**arguments)
    weighing.cover(NAMES)
    return weighing


def values(supervised, soft_label):
    return dict(zip(NAMES, torch.tensor([supervised, soft_label]), strict=True))


def test_every_term_is_scaled_to_the_size_of_the_first():
    weighing = make_weighing()
    factors = weighing(values(2.0, 0.5))
    assert [factors[name].item() for name in NAMES] == [1.0, 4.0]


def test_factors_follow_the_mean_and_not_the_last_value():
    weighing = make_weighing()
    weighing(values(1.0, 1.0))
    assert weighing(values(1.0, 3.0))["soft_label"] == pytest.approx(1 / 2)


def test_the_mean_forgets_what_lies_beyond_its_window():
    weighing = make_weighing(window=2)
    for size in (100.0, *[1.0] * 20):
        factors = weighing(values(1.0, size))
    assert factors["soft_label"] == pytest.approx(1, abs=0.01)


def test_a_batch_with_nothing_to_compare_is_not_counted():
    weighing = make_weighing()
    weighing(values(2.0, 1.0))
    assert weighing(values(0.0, 1.0))["soft_label"] == 2


def test_a_term_that_joins_late_starts_from_its_own_first_values():
    weighing = make_weighing()
    for _ in range(5):
        weighing({"supervised": torch.tensor(3.0)})
    assert weighing(values(3.0, 6.0))["soft_label"] == pytest.approx(0.5)


def test_terms_that_were_never_counted_keep_their_scale():
    assert make_weighing().eval()(values(5.0, 7.0)) == values(1.0, 1.0)


def test_evaluation_learns_nothing_and_state_survives_a_checkpoint():
    weighing = make_weighing()
    factors = weighing(values(2.0, 0.5))
    resumed = make_weighing()
    resumed.load_state_dict(copy.deepcopy(weighing.state_dict()))
    assert resumed.eval()(values(9.0, 9.0)) == factors


def test_factors_carry_no_gradient():
    loss = torch.tensor(2.0, requires_grad=True)
    factors = make_weighing()({"supervised": loss, "soft_label": 3 * loss})
    assert not any(factor.requires_grad for factor in factors.values())


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="window=0"):
        RunningMeanWeighing(window=0)


@pytest.mark.parametrize("size", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_for_once_spoils_no_mean(size):
    weighing = make_weighing()
    weighing(values(2.0, 1.0))
    weighing(values(2.0, size))
    assert weighing(values(2.0, 1.0))["soft_label"] == 2
