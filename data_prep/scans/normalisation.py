"""Intensities of one channel to mean 0 and deviation 1 over the brain, whatever the outliers.

`NormalizeForegroundd` of bundles has the same rule, and a test holds both together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.5, 99.5)
ROUNDING = 1e-4  # of the mean magnitude: what interpolation may make of nothing
ROWS = 16  # that are brought into the other order of axes while they are in the cache
PLANES = 32  # that are counted at once: with fewer, threads wait for the interpreter

Array = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Normalisation:
    """`(clip(v, low, high) - mean) / std` of the brain, which is what exceeds `least`; 0 elsewhere.

    `low` and `high` are percentiles of the brain, interpolated linearly as numpy does; `mean` and
    `std` (population) are those of its clipped voxels.
    """

    low: float
    high: float
    mean: float
    std: float
    least: float = 0.0


def size_of(values: Array) -> Array:
    """How far from 0; the lowest of whole numbers has no opposite of its own type."""
    return np.abs(values, dtype=np.float32 if values.dtype.kind in "iu" else values.dtype)


def measure(values: Array, percentiles: tuple[float, float] = PERCENTILES) -> Normalisation:
    """Measure one channel; the voxels of its brain are told from rounding by their magnitude.

    >>> measure(np.array([0, 0, 3, 5, 5, 7], np.int16), (0, 100)).mean
    5.0
    """
    if _is_small(values):
        present, counts = _count(values)
        least = ROUNDING * float(np.average(np.abs(present), weights=counts))
        brain = np.abs(present) > least
        present, counts = present[brain], counts[brain]
    else:
        size = size_of(values)
        least = ROUNDING * float(size.mean(dtype=np.float64))
        present, counts = values[size > least].astype(np.float64), None
    if not present.size:
        return Normalisation(0.0, 0.0, 0.0, 1.0)
    low, high = (float(limit) for limit in _find_percentiles(present, counts, percentiles))
    np.clip(present, low, high, out=present)
    mean = float(np.average(present, weights=counts))
    present -= mean
    std = float(np.sqrt(np.average(np.square(present, out=present), weights=counts)))
    return Normalisation(low, high, mean, std or 1.0, least)


def normalise(values: Array, rule: Normalisation, out: Floats | None = None) -> Floats:
    """Return the normalised channel (X Y Z), or write it to `out`, of its shape.

    Both lie with one axis contiguous, whichever.

    >>> normalise(np.array([[[3, 5, 9]]], np.uint8), Normalisation(3, 7, 5, 2)).tolist()
    [[[-1.0, 0.0, 1.0]]]
    """
    found = np.empty(values.shape, np.float32) if out is None else out
    if not _is_small(values):
        found[...] = values
        _apply(found, rule)
        return found
    codes = values.view(f"u{values.dtype.itemsize}")
    numbers = np.arange(int(codes.max(initial=0)) + 1, dtype=codes.dtype)
    table = numbers.view(values.dtype).astype(np.float64)
    _apply(table, rule)
    normalised = table.astype(np.float32)
    for start in range(0, values.shape[1], ROWS):
        rows = slice(start, start + ROWS)
        found[:, rows] = normalised.take(codes[:, rows])
    return found


def _is_small(values: Array) -> bool:
    """Whether there are so few possible values that they are counted faster than sorted."""
    return values.dtype.kind in "iu" and values.dtype.itemsize <= 2


def _count(values: Array) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the values in ascending order, and how often each occurs.

    By parts, for counting copies to 64 bits.
    """
    codes = values.view(f"u{values.dtype.itemsize}")
    every = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int64)
    for start in range(0, len(codes), PLANES):
        every += np.bincount(codes[start : start + PLANES].ravel(), minlength=every.size)
    (present,) = np.nonzero(every)
    numbers = present.astype(codes.dtype).view(values.dtype).astype(np.float64)
    order = np.argsort(numbers)
    return numbers[order], every[present][order]


def _find_percentiles(
    present: Array, counts: Array | None, percentiles: tuple[float, float]
) -> Array:
    """Interpolate between the two sorted values around rank `(n - 1) * percent / 100`."""
    if counts is None:
        return np.asarray(np.percentile(present, percentiles))
    ends = np.cumsum(counts)
    ranks = np.stack([ends - counts, ends - 1], axis=1).ravel()  # the first and last of each value
    wanted = (ends[-1] - 1) * np.array(percentiles) / 100
    return np.asarray(np.interp(wanted, ranks, np.repeat(present, 2)))


def _apply(values: NDArray[np.floating[Any]], rule: Normalisation) -> None:
    brain = np.abs(values) > rule.least
    np.clip(values, rule.low, rule.high, out=values)
    values -= rule.mean
    values /= rule.std
    values *= brain
