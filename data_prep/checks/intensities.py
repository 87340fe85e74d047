"""Whether the voxels of one image can be those of a scan."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.checks.geometry import Fault
from data_prep.rules import Rule
from data_prep.scans.memory import in_memory_order
from data_prep.scans.scan import Scan

SAMPLE = 200_000  # voxels that stand for all where a rule looks at the distribution
FEWEST_VALUES = 16  # an image of 4 bits has as many
LARGEST = 1e15  # the square of a larger one is near the end of what a float holds
OUTLIER_RATIO = 5.0  # of the distance from the median to the 99.9th percentile
LEAST_BACKGROUND = 0.05  # of the voxels; of a BraTS volume it is more than four fifths


def type_faults(scan: Scan) -> Iterator[Fault]:
    """Tell what keeps the stored voxels from being one real number each."""
    slope, intercept = (float(scan.header[name]) for name in ("scl_slope", "scl_inter"))
    if scan.voxels.dtype.names is not None:
        yield Rule.COLOUR, "voxels of red, green and blue"
    elif np.iscomplexobj(scan.voxels):
        yield Rule.COMPLEX, f"voxels of type {scan.voxels.dtype}"
    elif not np.isfinite([slope, intercept]).all():
        yield Rule.BAD_SCALING, f"scl_slope {slope}, scl_inter {intercept}"


def intensity_faults(values: npt.NDArray[Any], *, stripped: bool) -> Iterator[Fault]:
    """Tell what is wrong with the values of one image; `stripped`: around the brain they are 0."""
    broken = list(_non_finite_faults(values))
    if broken:
        yield from broken
        return
    lowest, highest = values.min(), values.max()
    largest = max(abs(float(lowest)), abs(float(highest)))
    if largest > LARGEST:
        yield Rule.INFINITE, f"values up to {largest:.3g}, as no scanner gives them"
        return
    if lowest == highest:
        rule = Rule.ALL_ZERO if lowest == 0 else Rule.CONSTANT
        yield rule, f"all {values.size} voxels are {lowest:g}"
        return
    sample = take_sample(*in_memory_order(values))
    if _has_few(sample[:: FEWEST_VALUES * 8]) and _has_few(sample) and _has_few(values):
        yield Rule.FEW_VALUES, f"only {len(np.unique(values))} distinct values"
        return
    yield from _outlier_faults(sample, float(highest))
    background = 1 - np.count_nonzero(values) / values.size
    if stripped and background < LEAST_BACKGROUND:
        yield Rule.SKULL_ON, f"{background:.1%} of the voxels are zero"


def take_sample(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """About `SAMPLE` voxels evenly spread over the volume: the same places for one shape."""
    step = max(1, round((values.size / SAMPLE) ** (1 / values.ndim)))
    return values[(slice(None, None, step),) * values.ndim].ravel()


def _has_few(values: npt.NDArray[Any]) -> bool:
    return len(np.unique(values)) < FEWEST_VALUES


def _non_finite_faults(values: npt.NDArray[Any]) -> Iterator[Fault]:
    if not np.issubdtype(values.dtype, np.floating) or np.isfinite(values).all():
        return
    missing, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    if missing:
        yield Rule.NAN, f"{missing} of {values.size} voxels are NaN"
    if infinite:
        yield Rule.INFINITE, f"{infinite} of {values.size} voxels are infinite"


def _outlier_faults(sample: npt.NDArray[Any], highest: float) -> Iterator[Fault]:
    middle, upper = np.percentile(sample[sample != 0], (50, 99.9))
    if upper > middle and highest - middle > OUTLIER_RATIO * (upper - middle):
        yield Rule.OUTLIERS, f"maximum {highest:g}, 99.9 % of the voxels are below {upper:g}"
