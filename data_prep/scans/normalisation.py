"""Intensities of one modality to mean 0 and deviation 1 over the brain, whatever the outliers."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

WIDEST_COUNT = 1 << 16  # beyond this range of whole numbers, sorting beats counting


@dataclass(frozen=True)
class Normalisation:
    """What a reader needs to normalise a modality: `(clip(v, low, high) - mean) / std`; 0 stays 0.

    Over the brain (voxels other than 0): `low` and `high` are the percentiles, interpolated
    linearly as numpy does; `mean` and `std` (population) are those of the clipped voxels.
    """

    low: float
    high: float
    mean: float
    std: float

    def as_dict(self) -> dict[str, float]:
        """As it is stored beside the voxels."""
        return asdict(self)


def measure(values: npt.NDArray[Any], percentiles: tuple[float, float]) -> Normalisation:
    """Measure one modality over its voxels other than 0."""
    present, counts = _count(values)
    if not counts.size:
        return Normalisation(0.0, 0.0, 0.0, 1.0)
    low, high = (_percentile(present, counts, percent) for percent in percentiles)
    clipped = np.clip(present, low, high)
    mean = float(np.average(clipped, weights=counts))
    std = float(np.sqrt(np.average((clipped - mean) ** 2, weights=counts)))
    return Normalisation(low, high, mean, std or 1.0)


def _count(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the values other than 0 in ascending order, and how often each occurs."""
    lowest, highest = (
        (int(values.min()), int(values.max())) if values.dtype.kind in "iu" else (0, WIDEST_COUNT)
    )
    if highest - lowest >= WIDEST_COUNT:
        present, counts = np.unique(values[values != 0].astype(np.float64), return_counts=True)
        return present, counts
    # Plane by plane, for counting copies to 64 bits: a plane stays in the processor's cache.
    every = np.zeros(highest - lowest + 1, dtype=np.int64)
    for plane in values:
        every += np.bincount(plane.ravel().astype(np.int64) - lowest, minlength=every.size)
    present = np.flatnonzero(every)
    present = present[present + lowest != 0]
    return (present + lowest).astype(np.float64), every[present]


def _percentile(
    present: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], percent: float
) -> float:
    """Interpolate between the two sorted values around rank `(n - 1) * percent / 100`."""
    ends = np.cumsum(counts)  # value i has the ranks from ends[i - 1] to ends[i] - 1
    rank = (ends[-1] - 1) * percent / 100
    below, above = present[np.searchsorted(ends, [np.floor(rank), np.ceil(rank)], side="right")]
    return float(below + (above - below) * (rank - np.floor(rank)))
