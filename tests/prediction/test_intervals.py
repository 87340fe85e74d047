import json
from math import inf

import numpy as np
import pytest

from monai_kd.prediction.intervals import (
    Calibration,
    VolumeCase,
    calibrate,
    conformal_quantile,
    read_calibration,
    score_of,
)

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
        interval = calibrate({"WT": seen}).interval(
            "WT", new.predicted_ml, agreement=new.agreement, level=level
        )
        held += interval.holds(new.true_ml)
    expected = np.ceil((SEEN + 1) * level - 1e-9) / (SEEN + 1)
    error = np.sqrt(expected * (1 - expected) / TRIALS)
    assert abs(held / TRIALS - expected) < 4 * error


@pytest.fixture(scope="module")
def calibration():
    return calibrate({"WT": _draw(np.random.default_rng(1), 100)})


@pytest.mark.parametrize("predicted", [0.0, 0.01, 5.0, 300.0])
def test_an_interval_holds_the_prediction_and_nothing_below_0(calibration, predicted):
    interval = calibration.interval("WT", predicted, agreement=0.8)
    assert 0 <= interval.low_ml <= predicted <= interval.high_ml


def test_a_higher_level_gives_a_wider_interval(calibration):
    levels = (0.1, 0.5, 0.8, 0.9, 0.95)
    found = [calibration.interval("WT", 20, agreement=0.8, level=level) for level in levels]
    assert [i.high_ml for i in found] == sorted(i.high_ml for i in found)
    assert [i.low_ml for i in found] == sorted((i.low_ml for i in found), reverse=True)


def test_less_agreement_gives_a_wider_interval(calibration):
    sure, unsure = (calibration.interval("WT", 20, agreement=a) for a in (0.95, 0.6))
    assert unsure.low_ml < sure.low_ml < sure.high_ml < unsure.high_ml


@pytest.mark.parametrize(("cases", "finite"), [(0, False), (8, False), (9, True)])
def test_too_few_cases_give_an_infinite_interval(cases, finite):
    calibration = calibrate({"WT": _draw(np.random.default_rng(2), cases)})
    interval = calibration.interval("WT", 20)
    assert (interval.high_ml < inf) == finite
    assert finite or (interval.low_ml, interval.high_ml) == (0, inf)


def test_an_unknown_region_has_an_infinite_interval(calibration):
    assert calibration.interval("cavity", 20).high_ml == inf


def test_a_perfect_prediction_scores_0_and_scores_are_symmetric():
    assert score_of(VolumeCase(7, 7, 0.5)) == 0
    assert score_of(VolumeCase(7, 9)) == pytest.approx(score_of(VolumeCase(9, 7)))


def test_the_quantile_is_a_score_that_was_seen():
    scores = [3.0, 1.0, 2.0, 4.0]
    assert [conformal_quantile(scores, level) for level in (0.2, 0.8, 0.81)] == [1, 4, inf]


def test_a_calibration_travels_through_json(calibration):
    again = read_calibration(json.loads(json.dumps(calibration.as_dict())))
    one, other = (c.interval("WT", 20, agreement=0.8) for c in (calibration, again))
    assert (one.low_ml, one.high_ml) == pytest.approx((other.low_ml, other.high_ml), rel=1e-4)


@pytest.mark.parametrize("content", [{}, {"format": 2}, {"format": 1, "floor_ml": 0.5}])
def test_another_format_is_refused(content):
    with pytest.raises(ValueError, match="calibrate the bundle again"):
        read_calibration(content)


def test_without_cases_nothing_is_known():
    assert Calibration({}).interval("WT", 3.0).high_ml == inf
