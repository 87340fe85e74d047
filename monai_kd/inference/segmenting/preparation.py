"""Scans to the image that the network reads: its grid, cut to the brain, normalised, padded."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from data_prep.scans.grid import Grid, choose_grid, turn_to_ras
from data_prep.scans.memory import in_memory_order, memory_order
from data_prep.scans.resampling import index_matrix, resample_linear
from data_prep.scans.scan import Scan
from monai_kd.inference.budget import check_need
from monai_kd.inference.segmenting.intensities import ROUNDING, write_normalised

Array = NDArray[Any]
Masks = NDArray[np.bool_]
Box = tuple[slice, slice, slice]
LEAST_KEPT = 0.5  # of the voxels that are not 0
MOVED_BYTES, KEPT_BYTES = 40, 16  # per voxel of the grid, while scans are brought to it and after
FILLED_BYTES = 50  # per voxel of the brain's box: the network's image, and what normalises it
PLANES = 16  # that are looked at together: with fewer, threads wait for the interpreter
SURELY_BRAIN = int(1 / ROUNDING)  # where no number exceeds it, any but 0 is brain


@dataclass(frozen=True, eq=False)
class Prepared:
    """`image` (C X Y Z) holds the voxels of `grid` that lie in `box`, at `inner`, and 0 around."""

    image: NDArray[np.float32]
    grid: Grid
    box: Box
    inner: Box


def prepare_image(
    scans: Mapping[str, Scan],
    *,
    modalities: Sequence[str],
    spacing_mm: tuple[float, ...] | None,
    divisor: int,
    threads: int = 1,
    most_bytes: int | None = None,
    make_room: Callable[[], None] | None = None,
) -> Prepared:
    """Do what `bundles/preprocessing.yaml` does; channels of absent modalities are 0.

    The grid is that of the first scan, in the order of the modalities. The padding is split as
    MONAI's sliding window splits it. A grid for which `most_bytes` do not suffice is refused;
    before much memory is taken, `make_room` is called.
    """
    first = next(scans[name] for name in modalities if name in scans)
    grid = choose_grid(first.shape, first.affine, spacing_mm=spacing_mm)
    resampled = prod(grid.shape) * any(not scan.grid.is_same(grid) for scan in scans.values())
    check_need(_describe(grid), MOVED_BYTES * resampled, most_bytes)
    if resampled and make_room is not None:
        make_room()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        volumes = dict(
            zip(scans, pool.map(lambda s: _to_grid(s, grid), scans.values()), strict=True)
        )
        box = _find_box(list(volumes.values()), pool)
        filled = prod(part.stop - part.start for part in box)
        check_need(_describe(grid), KEPT_BYTES * resampled + FILLED_BYTES * filled, most_bytes)
        image, inner = _make_buffer(len(modalities), box, divisor)
        targets = {name: image[channel][inner] for channel, name in enumerate(modalities)}
        list(pool.map(lambda name: _fill(volumes[name][box], targets[name]), volumes))
    return Prepared(image, grid, box, inner)


def _describe(grid: Grid) -> str:
    return f"its grid of {' x '.join(map(str, grid.shape))} voxels"


def _to_grid(scan: Scan, grid: Grid) -> Array:
    """Turn a scan to the grid: a view of it where no voxel has to move."""
    own = scan.grid
    turned = turn_to_ras(scan.values, scan.affine)
    if own.is_same(grid):
        return turned
    return resample_linear(turned, index_matrix(own, grid), grid.shape)


def _find_box(volumes: Sequence[Array], pool: ThreadPoolExecutor) -> Box:
    """Return the smallest box that holds the brain of all volumes; all if there is none."""
    profiles: list[list[Masks]] = []
    whole = all(volume.dtype.kind in "iu" for volume in volumes)
    if whole:
        found = list(pool.map(_profile_whole_numbers, volumes))
        profiles = [profile for profile, _ in found]
        if max(largest for _, largest in found) <= SURELY_BRAIN:
            return _join(profiles)
    means = [float(_size(volume).mean(dtype=np.float64)) for volume in volumes]
    for volume, mean in zip(volumes, means, strict=True):
        if _is_outshone(volume, ROUNDING * max(mean, float(np.mean(means)))):
            most = max(float(_size(other).max()) for other in volumes)
            raise DatasetError(
                f"values up to {most:.3g} outshine all others, which would count as background; "
                "export the scan again"
            )
    threshold = ROUNDING * float(np.mean(means))
    if not whole or threshold >= 1:
        profiles = list(pool.map(lambda volume: _profile(volume, threshold), volumes))
    return _join(profiles)


def _size(volume: Array) -> Array:
    """How far from 0; the lowest of whole numbers has no opposite of its own type."""
    return np.abs(volume, dtype=np.float32 if volume.dtype.kind in "iu" else volume.dtype)


def _is_outshone(volume: Array, threshold: float) -> bool:
    """Tell whether too little would count as brain, beside a voxel of 1e12 or so."""
    size = _size(volume[::3, ::3, ::3])
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
        brain = _size(part) > threshold
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
    box = []
    for axis in zip(*profiles, strict=True):
        (inside,) = np.nonzero(np.any(axis, axis=0))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else None)
    sides = [len(axis) for axis in profiles[0]]
    x, y, z = (part or slice(0, side) for part, side in zip(box, sides, strict=True))
    return x, y, z


def _make_buffer(channels: int, box: Box, divisor: int) -> tuple[NDArray[np.float32], Box]:
    sides = [part.stop - part.start for part in box]
    padded = [-(-side // divisor) * divisor for side in sides]
    starts = [(whole - side) // 2 for whole, side in zip(padded, sides, strict=True)]
    x, y, z = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return np.zeros((channels, *padded), dtype=np.float32), (x, y, z)


def _fill(block: Array, target: NDArray[np.float32]) -> None:
    source, view = in_memory_order(block, target)
    write_normalised(source, view)
