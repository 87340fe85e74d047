"""Cutting volumes to the brain, and noting where in a label each value lies."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.scans.memory import in_memory_order, memory_order

MOST_LOCATIONS = 1000  # per value: enough to centre windows on, small enough to read with each case


def find_brain(volumes: Sequence[npt.NDArray[Any]]) -> tuple[slice, ...]:
    """Return the smallest box that holds all voxels other than 0 of all volumes."""
    order, signs = memory_order(volumes[0])
    views = in_memory_order(*volumes)
    inside = views[0] != 0
    for view in views[1:]:
        inside |= view != 0
    if not inside.any():
        return tuple(slice(0, side) for side in volumes[0].shape)
    plane = inside.any(axis=0)
    found = (inside.any(axis=2).any(axis=1), plane.any(axis=1), plane.any(axis=0))
    box = [slice(0, 0)] * 3
    for axis, present in zip(order, found, strict=True):
        low, high = np.flatnonzero(present[:: signs[axis]])[[0, -1]]
        box[axis] = slice(int(low), int(high) + 1)
    return tuple(box)


def draw_locations(label: npt.NDArray[Any], values: Iterable[str]) -> dict[str, list[list[int]]]:
    """Draw, for each value, voxels that have it: always the same ones for the same label."""
    random = np.random.Generator(np.random.PCG64(0))
    locations = {}
    for value in values:
        voxels = np.flatnonzero(label == int(value))
        drawn = random.choice(voxels, min(MOST_LOCATIONS, voxels.size), replace=False)
        locations[value] = np.stack(np.unravel_index(np.sort(drawn), label.shape), 1).tolist()
    return locations
