from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.scans.normalisation import Normalisation, measure

BOTH = (0.5, 99.5)
lawful = settings(deadline=None, derandomize=True, max_examples=50, database=None)


def brain(dtype=np.int16, size=20):
    volume = np.random.default_rng(0).normal(600, 100, (size, size, size))
    volume[:5] = 0
    return volume.astype(dtype)


def by_numpy(values, percentiles):
    size = np.abs(values.astype(np.float64))
    voxels = values[size > 1e-4 * size.mean()].astype(np.float64)
    low, high = np.percentile(voxels, percentiles)
    clipped = np.clip(voxels, low, high)
    return low, high, clipped.mean(), clipped.std()


@lawful
@given(
    dtype=st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32]),
    low=st.floats(0, 40),
    high=st.floats(60, 100),
    widest=st.sampled_from([3, 200, 2_000_000]),
    count=st.integers(2, 300),
    seed=st.integers(0, 99),
)
def test_counting_agrees_with_numpy(dtype, low, high, widest, count, seed):
    drawn = np.random.default_rng(seed).normal(0.3, 0.4, count) * widest
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo(dtype)
    values = np.clip(drawn, limits.min, limits.max).astype(dtype)
    values[0] = 1
    found = measure(values, (low, high))
    expected = by_numpy(values, (low, high))
    assert (found.low, found.high, found.mean) == pytest.approx(expected[:3], rel=1e-6, abs=1e-9)
    assert found.std == pytest.approx(expected[3] or 1.0, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_single_outliers_of_a_million_change_hardly_anything(dtype):
    clean = brain(dtype)
    spoilt = clean.copy()
    spoilt[10, 10, 10:14] = 1_000_000
    before, after = measure(clean, BOTH), measure(spoilt, BOTH)
    assert after.mean == pytest.approx(before.mean, rel=1e-3)
    assert after.std == pytest.approx(before.std, rel=1e-2)
    assert after.high < 1000


@lawful
@given(scale=st.integers(1, 20))
def test_the_unit_of_the_intensities_goes_into_every_number(scale):
    volume = brain(np.int32)
    one, scaled = measure(volume, BOTH), measure(volume * scale, BOTH)
    assert astuple(scaled) == pytest.approx([scale * number for number in astuple(one)])


def test_what_cannot_be_normalised_gets_a_deviation_of_one():
    nothing, even = np.zeros((4, 4, 4), np.int16), np.full((4, 4, 4), 7, np.int16)
    assert measure(nothing, BOTH) == Normalisation(0.0, 0.0, 0.0, 1.0)
    assert measure(even, BOTH) == Normalisation(7.0, 7.0, 7.0, 1.0, pytest.approx(7e-4))
