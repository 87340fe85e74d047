from math import inf

import numpy as np
import pytest

from monai_kd.inference.intervals import VolumeCase, find_bound, find_interval, score_of

TRIALS, SEEN = 2000, 39


def _draw(random, count):
    """Cases whose error grows with the disagreement of two opinions."""
    true = random.lognormal(3, 1, count)
    agreement = random.uniform(0.4, 1, count)
    predicted = true * np.exp((1.1 - agreement) * random.normal(0.2, 0.5, count))
    columns = (column.tolist() for column in (predicted, true, agreement))
    return [VolumeCase(*row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_of_exchangeable_cases_is_the_level(level):
    random, held = np.random.default_rng(0), 0
    for _ in range(TRIALS):
        *seen, new = _draw(random, SEEN + 1)
        bound = find_bound(seen, level=level)
        interval = find_interval(new.predicted_ml, bound=bound, agreement=new.agreement)
        held += interval.low_ml <= new.true_ml <= interval.high_ml
    expected = np.ceil((SEEN + 1) * level - 1e-9) / (SEEN + 1)
    error = np.sqrt(expected * (1 - expected) / TRIALS)
    assert abs(held / TRIALS - expected) < 4 * error


@pytest.mark.parametrize("predicted", [0.0, 0.01, 5.0, 300.0])
@pytest.mark.parametrize("bound", [0.0, 1.0, 1e6])
def test_an_interval_holds_the_prediction_and_nothing_below_0(bound, predicted):
    interval = find_interval(predicted, bound=bound, agreement=0.8)
    assert 0 <= interval.low_ml <= predicted + 1e-12
    assert predicted - 1e-12 <= interval.high_ml


def test_a_higher_level_gives_a_larger_bound_and_that_a_wider_interval():
    seen = _draw(np.random.default_rng(1), 100)
    bounds = [find_bound(seen, level=level) for level in (0.1, 0.5, 0.8, 0.9, 0.95)]
    assert bounds == sorted(set(bounds))
    found = [find_interval(20, bound=bound, agreement=0.8) for bound in bounds]
    assert [i.high_ml for i in found] == sorted({i.high_ml for i in found})
    assert [i.low_ml for i in found] == sorted({i.low_ml for i in found}, reverse=True)


def test_less_agreement_gives_a_wider_interval():
    sure, unsure = (find_interval(20, bound=2, agreement=a) for a in (0.95, 0.6))
    assert unsure.low_ml < sure.low_ml < sure.high_ml < unsure.high_ml


@pytest.mark.parametrize(("cases", "finite"), [(0, False), (8, False), (9, True)])
def test_too_few_cases_give_an_infinite_interval(cases, finite):
    bound = find_bound(_draw(np.random.default_rng(2), cases))
    interval = find_interval(20, bound=bound)
    assert (interval.high_ml < inf) == finite
    assert finite or (interval.low_ml, interval.high_ml) == (0, inf)


def test_a_perfect_prediction_scores_0_and_scores_are_symmetric():
    assert score_of(VolumeCase(7, 7, 0.5)) == 0
    assert score_of(VolumeCase(7, 9)) == pytest.approx(score_of(VolumeCase(9, 7)))


def test_the_bound_is_a_score_that_was_seen():
    cases = [VolumeCase(7, true) for true in (9, 7, 8, 10)]
    scores = sorted(map(score_of, cases))
    assert [find_bound(cases, level=c) for c in (0.2, 0.8, 0.81)] == [scores[0], scores[3], inf]
