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


NAN, INFINITE = float("nan"), float("inf")
FACTORS = {  # values of both terms at each step, and the factor of the second at the last one
    "every term is scaled to the size of the first": ([(2.0, 0.5)], 4.0),
    "factors follow the mean and not the last value": ([(1.0, 1.0), (1.0, 3.0)], 0.5),
    "a batch with nothing to compare is not counted": ([(2.0, 1.0), (0.0, 1.0)], 2.0),
    "a value that is not a number spoils no mean": ([(2.0, 1.0), (2.0, NAN), (2.0, 1.0)], 2.0),
    "an infinite value spoils no mean": ([(2.0, 1.0), (2.0, INFINITE), (2.0, 1.0)], 2.0),
    "the mean forgets what lies beyond its window": ([(1.0, 100.0), *[(1.0, 1.0)] * 20], 1.0),
}


@pytest.mark.parametrize("claim", FACTORS)
def test_factors(claim):
    steps, expected = FACTORS[claim]
    weighing = make_weighing(window=2 if "window" in claim else 100)
    factors = [weighing(values(*step)) for step in steps][-1]
    assert factors["supervised"] == 1
    assert factors["soft_label"] == pytest.approx(expected, abs=0.01 if "window" in claim else 0)


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
