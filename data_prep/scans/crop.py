"""The smallest box of voxels that hold something."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from data_prep.scans.memory import in_memory_order, memory_order
from data_prep.scans.normalisation import ROUNDING, size_of

LEAST_KEPT = 0.5  # of the voxels that are not 0
PLANES = 16  # that are looked at together: with fewer, threads wait for the interpreter
SURELY_BRAIN = int(1 / ROUNDING)  # where no number exceeds it, any but 0 is brain

Array = NDArray[Any]
Masks = NDArray[np.bool_]
Box = tuple[slice, slice, slice]
Each = Callable[..., Iterable[Any]]  # the builtin `map`, or that of a pool of threads


def find_box(volumes: Sequence[Array]) -> Box:
    """Return the smallest box that holds all voxels other than 0 of all volumes; all if none is.

    >>> mask = np.zeros((4, 5, 6), np.uint8)
    >>> mask[1:3, 2, 4] = 1
    >>> find_box([mask])
    (slice(1, 3, None), slice(2, 3, None), slice(4, 5, None))
    """
    return _join(
        [_profile(v, 0) if v.dtype.kind == "f" else _profile_whole_numbers(v)[0] for v in volumes]
    )


def widen(box: Box, shape: Sequence[int], margin: int) -> Box:
    """Return the box with so many voxels more on each side, as far as the volume has them.

    >>> widen((slice(1, 3), slice(2, 3), slice(4, 5)), (4, 5, 6), 2)
    (slice(0, 4, None), slice(0, 5, None), slice(2, 6, None))
    """
    x, y, z = (
        slice(max(0, part.start - margin), min(side, part.stop + margin))
        for part, side in zip(box, shape, strict=True)
    )
    return x, y, z


def find_brain(volumes: Sequence[Array], *, each: Each = map) -> Box:
    """Return the smallest box that holds the brain of all volumes, all of it if there is none.

    Brain is what differs from 0 by more than rounding. Volumes of which that would be little, for
    some voxel outshines all others, are refused.
    """
    profiles: list[list[Masks]] = []
    whole = all(volume.dtype.kind in "iu" for volume in volumes)
    if whole:
        found = list(each(_profile_whole_numbers, volumes))
        profiles = [profile for profile, _ in found]
        if max(largest for _, largest in found) <= SURELY_BRAIN:
            return _join(profiles)
    means = [float(size_of(volume).mean(dtype=np.float64)) for volume in volumes]
    threshold = ROUNDING * float(np.mean(means))
    for volume, mean in zip(volumes, means, strict=True):
        if _is_outshone(volume, max(ROUNDING * mean, threshold)):
            most = max(float(size_of(other).max()) for other in volumes)
            raise DatasetError(
                f"values up to {most:.3g} outshine all others, which would count as background; "
                "export the scan again"
            )
    if not whole or threshold >= 1:
        profiles = list(each(partial(_profile, threshold=threshold), volumes))
    return _join(profiles)


def _is_outshone(volume: Array, threshold: float) -> bool:
    """Tell whether too little would count as brain, beside a voxel of 1e12 or so."""
    size = size_of(volume[::3, ::3, ::3])
    present = np.count_nonzero(size)
    return bool(np.count_nonzero(size > threshold) < LEAST_KEPT * present)


def _profile_whole_numbers(volume: Array) -> tuple[list[Masks], int]:
    """Tell where along each axis something is not 0, and how far from 0 the farthest is.

    Some planes at a time, which stay in the cache; voxel by voxel would take ten times as long.
    """
    (view,) = in_memory_order(volume)
    plane, lowest, highest = np.zeros_like(view[0]), [], []
    for start in range(0, len(view), PLANES):
        part = view[start : start + PLANES]
        plane |= np.bitwise_or.reduce(part, axis=0)
        flat = part.reshape(len(part), -1)
        lowest += flat.min(axis=1).tolist()
        highest += flat.max(axis=1).tolist()
    outermost = np.array(lowest, dtype=np.bool_) | np.array(highest, dtype=np.bool_)
    return _by_axis(volume, outermost, plane != 0), max(*highest, -min(lowest))


def _profile(volume: Array, threshold: float) -> list[Masks]:
    (view,) = in_memory_order(volume)
    plane = np.zeros(view.shape[1:], dtype=np.bool_)
    outermost = np.zeros(len(view), dtype=np.bool_)
    for index, part in enumerate(view):
        brain = size_of(part) > threshold
        outermost[index] = brain.any()
        plane |= brain
    return _by_axis(volume, outermost, plane)


def _by_axis(volume: Array, outermost: Masks, plane: Masks) -> list[Masks]:
    """Bring what was found in the order of the memory back to the volume's axes."""
    found = (outermost, np.asarray(plane.any(axis=1)), np.asarray(plane.any(axis=0)))
    order, signs = memory_order(volume)
    present = dict(zip(order, found, strict=True))
    return [present[axis][:: signs[axis]] for axis in range(3)]


def _join(profiles: Sequence[Sequence[Masks]]) -> Box:
    sides = []
    for axis in zip(*profiles, strict=True):
        inside = np.flatnonzero(np.any(axis, axis=0))
        low, high = (inside[0], inside[-1] + 1) if inside.size else (0, len(axis[0]))
        sides.append(slice(int(low), int(high)))
    return sides[0], sides[1], sides[2]
