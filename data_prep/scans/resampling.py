"""Voxels read where those of another grid lie: images by interpolation, labels from the nearest."""

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from data_prep.scans.grid import Grid, Matrix, grid_of, turn_to_ras
from data_prep.scans.normalisation import ROUNDING

NEAREST, LINEAR = 0, 1  # orders of interpolation: for labels, for images
TIE = 1e-6  # voxels
PARALLEL = 1e-5  # voxels along other axes per voxel

Array = NDArray[Any]
Floats = NDArray[np.float32]


def to_grid(array: Array, affine: Matrix, grid: Grid, order: int) -> Array:
    """Bring a scan, as it is stored, onto `grid`: a view of it if no voxel has to move.

    Else images become float32, and what interpolation has made of 0 is 0.

    >>> stored = np.arange(24).reshape(2, 3, 4)
    >>> stored_to_the_left = np.diag([-1.0, 1, 1, 1])
    >>> grid = grid_of((2, 3, 4), stored_to_the_left)
    >>> to_grid(stored, stored_to_the_left, grid, LINEAR)[:, 0, 0].tolist()
    [12, 0]
    """
    own = grid_of((array.shape[0], array.shape[1], array.shape[2]), affine)
    turned = turn_to_ras(array, affine)
    if own.is_same(grid):
        return turned
    if order == NEAREST:
        return _take_nearest(turned, own, grid)
    return silence(resample_linear(turned, own, grid))


def resample_linear(volume: Array, own: Grid, grid: Grid) -> Floats:
    """Interpolate a volume (X Y Z), which lies on `own`, at the voxels of `grid`.

    It goes on beyond its outermost voxels for one of them or for half a voxel of `grid`, whichever
    is more; then it falls to 0 within another. Where the axes of both are parallel, they are done
    one after the other.
    """
    matrix = np.linalg.inv(own.affine) @ grid.affine
    scales = np.diag(matrix)[:3]
    reach = np.maximum(1, np.ceil(np.abs(matrix[:3, :3]).sum(axis=1) / 2 - TIE)).astype(int)
    if np.abs(matrix[:3, :3] - np.diag(scales)).max() > PARALLEL:
        matrix[:3, 3] += reach
        padded = np.pad(volume.astype(np.float32), [(side, side) for side in reach], mode="edge")
        turned: Floats = scipy.ndimage.affine_transform(
            padded, matrix, output_shape=grid.shape, order=LINEAR, mode="grid-constant"
        )
        return turned
    places = [
        np.arange(side) * scale + shift
        for side, scale, shift in zip(grid.shape, scales, matrix[:3, 3], strict=True)
    ]
    growth = np.array(grid.shape) / volume.shape
    for axis in np.argsort(growth):  # what shrinks goes first: less is left for the others
        volume = _resample_axis(volume, int(axis), places[axis], int(reach[axis]))
    return np.ascontiguousarray(volume, dtype=np.float32)


def silence(values: Floats) -> Floats:
    """Make 0 again, in place, what interpolation has made of 0."""
    size = np.abs(values)
    values *= size > ROUNDING * size.mean(dtype=np.float64)
    return values


def _resample_axis(volume: Array, axis: int, places: Matrix, reach: int) -> Array:
    last = volume.shape[axis] - 1
    inside = np.clip(places, 0, last)
    below = np.minimum(inside.astype(np.intp), max(last - 1, 0))
    share = (inside - below).astype(np.float32)
    left = np.clip(1 + reach - np.abs(places - inside), 0, 1).astype(np.float32)
    if not share.any() and left.all() and np.array_equal(below, np.arange(volume.shape[axis])):
        return volume
    along = [-1 if other == axis else 1 for other in range(3)]
    values = volume.take(below, axis).astype(np.float32, copy=False)
    step = volume.take(np.minimum(below + 1, last), axis).astype(np.float32, copy=False)
    step -= values
    step *= share.reshape(along)
    values += step
    if (left < 1).any():
        values *= left.reshape(along)
    return values


def _take_nearest(array: Array, own: Grid, grid: Grid) -> Array:
    matrix = np.linalg.inv(own.affine) @ grid.affine
    matrix[:3, 3] -= TIE  # half a voxel beyond the last one is still that one
    return np.asarray(
        scipy.ndimage.affine_transform(
            array, matrix, output_shape=grid.shape, order=NEAREST, mode="grid-constant"
        )
    )
