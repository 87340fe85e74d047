"""Whether the scans of one case belong together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.checks.geometry import Fault, write_mm, write_shape
from data_prep.rules import Rule
from data_prep.scans.grid import TOLERANCE_MM, Grid, Matrix, turn_to_ras
from data_prep.scans.memory import in_memory_order
from data_prep.scans.scan import Scan

LEAST_OVERLAP = 0.5  # of the smaller field of view
MOST_OUTSIDE = 0.5  # of the labelled voxels


@dataclass(frozen=True, eq=False)
class Placed:
    """Values turned to right, front, top by the scan's own affine, so that grids compare."""

    values: npt.NDArray[Any]
    grid: Grid


def place(scan: Scan) -> Placed:
    """Turn a 3D scan by flips and swaps of its axes; nothing is resampled or copied."""
    return Placed(turn_to_ras(scan.values, scan.affine), scan.grid)


def grid_faults(images: Mapping[str, Placed]) -> Iterator[tuple[str, Fault]]:
    """Compare each modality's grid with that of the first."""
    names = list(images)
    for modality in names[1:]:
        fault = _compare_grids(names[0], images[names[0]], images[modality])
        if fault is not None:
            yield modality, fault


def same_modality_faults(images: Mapping[str, Placed]) -> Iterator[tuple[str, Fault]]:
    """Tell which modality holds the voxels of an earlier one."""
    for earlier, later in combinations(images, 2):
        first, second = in_memory_order(images[earlier].values, images[later].values)
        middle = len(first) // 2  # the plane that rules out most
        alike = first.shape == second.shape and np.array_equal(first[middle], second[middle])
        if alike and np.array_equal(first, second):
            yield later, (Rule.SAME_MODALITY, f"{later} holds the same voxels as {earlier}")


def label_place_fault(label: Placed, images: Mapping[str, Placed]) -> Fault | None:
    """Tell whether the label lies on no image's grid, or for the most part outside the brain."""
    shared = [image for image in images.values() if label.grid.is_same(image.grid)]
    if not shared:
        name, image = next(iter(images.items()))
        return Rule.LABEL_GRID, f"{_tell_difference(label, image)} {name}"
    values, *volumes = in_memory_order(label.values, *(image.values for image in shared))
    marked = values != 0
    brain = np.any([volume[marked] != 0 for volume in volumes], axis=0)
    outside = 1 - brain.mean() if brain.size else 0.0
    if outside > MOST_OUTSIDE:
        return Rule.LABEL_OUTSIDE, f"{outside:.0%} of {brain.size} voxels lie where images are 0"
    return None


def _compare_grids(name: str, reference: Placed, other: Placed) -> Fault | None:
    if reference.grid.is_same(other.grid):
        return None
    seen = f"{_tell_difference(other, reference)} {name}"
    overlap = _overlap(reference.grid.corners_mm, other.grid.corners_mm)
    spacings = reference.grid.spacing_mm, other.grid.spacing_mm
    if overlap < LEAST_OVERLAP:
        return Rule.GRIDS_DIFFER, f"{seen}; {overlap:.0%} of the fields of view overlap"
    if not np.allclose(*spacings, rtol=0, atol=TOLERANCE_MM):
        return Rule.OWN_SPACING, seen
    same_shape = reference.values.shape == other.values.shape
    return Rule.GRIDS_DIFFER if same_shape else Rule.SHAPES_DIFFER, seen


def _tell_difference(one: Placed, other: Placed) -> str:
    """Say how the first differs, so that the name of the second can follow."""
    shapes = one.values.shape, other.values.shape
    spacings = one.grid.spacing_mm, other.grid.spacing_mm
    if shapes[0] == shapes[1]:
        return f"corners up to {one.grid.distance_mm(other.grid):.4g} mm away from those of"
    if np.allclose(*spacings, rtol=0, atol=TOLERANCE_MM):
        return f"{write_shape(shapes[0])} voxels, not {write_shape(shapes[1])} as"
    return f"voxels of {write_mm(spacings[0])} mm, not {write_mm(spacings[1])} as"


def _overlap(one: Matrix, other: Matrix) -> float:
    """Volume that two fields of view share, of that of the smaller."""
    low = np.maximum(one.min(axis=0), other.min(axis=0))
    high = np.minimum(one.max(axis=0), other.max(axis=0))
    smaller = min(float(np.ptp(corners, axis=0).prod()) for corners in (one, other))
    return float(np.clip(high - low, 0, None).prod()) / smaller if smaller else 0.0
