"""Intensities normalised over the brain, straight into the buffer that the network reads.

The rule is that of `inference.transforms.NormalizeForegroundd`, and a test holds both together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PERCENTILES = (0.5, 99.5)
ROUNDING = 1e-4  # of the mean magnitude: what interpolation may make of nothing
ROWS = 16  # that are brought into the other order of axes while they are in the cache
PLANES = 32  # that are counted at once: with fewer, threads wait for the interpreter


def write_normalised(block: Array, target: NDArray[np.float32]) -> None:
    """Write `(clip(v, low, high) - mean) / std` of the brain's voxels to `target`, of its shape.

    Both lie with one axis contiguous, whichever. Voxels that are no brain keep their values.
    """
    if block.dtype.kind in "iu" and block.dtype.itemsize <= 2:
        codes = block.view(f"u{block.dtype.itemsize}")
        table = _make_table(codes, block.dtype)
        for start in range(0, block.shape[1], ROWS):
            rows = slice(start, start + ROWS)
            target[:, rows] = table.take(codes[:, rows])
        return
    values = np.array(block, dtype=np.float32)
    size = np.abs(values)
    brain = size > ROUNDING * size.mean(dtype=np.float64)
    inside = values[brain].astype(np.float64)
    if inside.size:
        low, high = np.percentile(inside, PERCENTILES)
        np.clip(inside, low, high, out=inside)
        values[brain] = (inside - inside.mean()) / (inside.std() or 1.0)
    target[...] = values


def _make_table(codes: Array, dtype: np.dtype[Any]) -> NDArray[np.float32]:
    """Return the normalised value of each number of one or two bytes, at its place as unsigned."""
    counts = _count(codes)
    numbers = np.arange(counts.size, dtype=codes.dtype).view(dtype).astype(np.float64)
    order = np.argsort(numbers, kind="stable")
    numbers, counts = numbers[order], counts[order]
    size = np.abs(numbers)
    brain = size > ROUNDING * np.average(size, weights=counts)
    table = np.zeros(counts.size, dtype=np.float32)
    table[order] = np.where(brain, _normalise(numbers, counts * brain), numbers)
    return table


def _count(codes: Array) -> NDArray[np.int64]:
    """How often each number up to the largest occurs; by parts, for counting copies to 64 bits."""
    counts = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int64)
    for start in range(0, len(codes), PLANES):
        part = codes[start : start + PLANES]
        counts += np.bincount(part.ravel(), minlength=counts.size)
    return counts


def _normalise(numbers: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Normalise ascending numbers by the percentiles, mean and deviation of those that occur."""
    if not counts.any():
        return numbers
    ends = np.cumsum(counts)  # number i has the ranks from ends[i - 1] to ends[i] - 1
    low, high = (_percentile(numbers, ends, percent) for percent in PERCENTILES)
    clipped = np.clip(numbers, low, high)
    mean = np.average(clipped, weights=counts)
    deviation = float(np.sqrt(np.average((clipped - mean) ** 2, weights=counts)))
    return np.asarray((clipped - mean) / (deviation or 1.0))


def _percentile(numbers: NDArray[np.float64], ends: NDArray[np.int64], percent: float) -> float:
    rank = (int(ends[-1]) - 1) * percent / 100
    places = np.searchsorted(ends, [np.floor(rank), np.ceil(rank)], side="right")
    below, above = numbers[places]
    return float(below + (above - below) * (rank - np.floor(rank)))
