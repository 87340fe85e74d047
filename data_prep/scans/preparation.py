"""A case as every network sees it: one grid, cut to the brain; and answers back on its voxels."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.scans.crop import Box, find_brain, widen
from data_prep.scans.grid import Grid, choose_grid, turn_to_ras
from data_prep.scans.resampling import resample_linear, silence
from data_prep.scans.scan import Scan

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class CutCase:
    """The part of each channel (X Y Z) that lies in `box` of `grid`.

    Channels of which no voxel had to move are views of their scans; those that `moved` are float32.
    """

    volumes: Mapping[str, Array]
    grid: Grid
    box: Box
    moved: tuple[str, ...]


def prepare(
    scans: Mapping[str, Scan],
    *,
    spacing_mm: tuple[float, ...] | None = None,
    threads: int = 1,
    before_moving: Callable[[Grid], None] = lambda grid: None,
) -> CutCase:
    """Bring the channels of a case to the grid of the first, and cut them to the brain of all.

    The grid has voxels of `spacing_mm`, or its own. Before voxels are moved, which takes memory,
    `before_moving` is called with it. Intensities are those of the scans: `measure` and
    `normalise` follow. Training and prediction both begin here.

    >>> from nibabel import Nifti1Image
    >>> image = Nifti1Image(np.pad(np.ones((2, 3, 4), np.uint8), 1), np.diag([-1, 1, 1, 1]))
    >>> scan = Scan(np.asarray(image.dataobj), image.header, sha256="")
    >>> cut = prepare({"t1": scan})
    >>> cut.grid.shape, cut.volumes["t1"].shape
    ((4, 5, 6), (2, 3, 4))
    >>> stored = restore(cut.volumes["t1"], scan, grid=cut.grid, box=cut.box)
    >>> np.array_equal(stored, scan.values)
    True
    """
    first = next(iter(scans.values()))
    grid = choose_grid(first.shape, first.affine, spacing_mm=spacing_mm)
    moved = tuple(name for name, scan in scans.items() if not scan.grid.is_same(grid))
    if moved:
        before_moving(grid)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        turned = list(pool.map(lambda scan: _bring(scan, grid), scans.values()))
        box = find_brain(turned, each=pool.map)
        volumes = {name: volume[box] for name, volume in zip(scans, turned, strict=True)}
        list(pool.map(lambda name: silence(volumes[name]), moved))
    return CutCase(volumes, grid, box, moved)


def restore(values: Array, scan: Scan, *, grid: Grid, box: Box) -> Array:
    """Bring values (X Y Z) in `box` of `grid` to the voxels of `scan` as it is stored, 0 elsewhere.

    The inverse of `prepare`: where voxels have to move, they are moved first, then put back.
    """
    if not scan.grid.is_same(grid):
        values, box = move_back(values, scan, grid=grid, box=box)
    return put_back(values, scan, box)


def move_back(values: Array, scan: Scan, *, grid: Grid, box: Box) -> tuple[Array, Box]:
    """Interpolate values in `box` of `grid` at the voxels of a scan; return which box they fill.

    Within a voxel around the box they fall to 0, but go on where the grid ends. Give probabilities
    rather than masks, and cut them afterwards. The scan is turned to right, front, top.
    """
    own, wide = scan.grid, widen(box, grid.shape, 1)
    ends = [(part.start - w.start, w.stop - part.stop) for part, w in zip(box, wide, strict=True)]
    around = grid.cut(tuple(slice(part.start - 1, part.stop + 1) for part in box)).corners_mm
    places = (around - own.affine[:3, 3]) @ np.linalg.inv(own.affine[:3, :3]).T
    low = np.clip(np.floor(places.min(axis=0)), 0, np.array(own.shape) - 1).astype(int)
    high = np.clip(np.ceil(places.max(axis=0)) + 1, low + 1, own.shape).astype(int)
    x, y, z = map(slice, low.tolist(), high.tolist())
    moved = resample_linear(np.pad(values, ends), grid.cut(wide), own.cut((x, y, z)))
    return moved, (x, y, z)


def put_back(values: Array, scan: Scan, box: Box) -> Array:
    """Return a volume as the scan is stored, 0 but for `box` of the scan turned to the front."""
    stored = np.zeros(scan.shape, dtype=values.dtype, order="F")
    turn_to_ras(stored, scan.affine)[box] = values  # a view: what is written there, is turned back
    return stored


def _bring(scan: Scan, grid: Grid) -> Array:
    own, turned = scan.grid, turn_to_ras(scan.values, scan.affine)
    return turned if own.is_same(grid) else resample_linear(turned, own, grid)
