"""Linear interpolation between two grids, axis after axis where their axes are parallel."""

import numpy as np
import scipy
from numpy.typing import NDArray

from data_prep.scans.grid import Grid

Array = NDArray[np.float32]
Matrix = NDArray[np.float64]
PARALLEL = 1e-5  # voxels along other axes per voxel


def index_matrix(source: Grid, target: Grid) -> Matrix:
    """Return what takes the index of a voxel of `target` to its place in `source`."""
    return np.asarray(np.linalg.inv(source.affine) @ target.affine, dtype=np.float64)


def resample_linear(volume: Array, matrix: Matrix, shape: tuple[int, ...]) -> Array:
    """Read `volume` (X Y Z) at the places that `matrix` takes the voxels of `shape` to.

    Beyond the outermost voxels lie their values, as with MONAI's `padding_mode="border"`.
    """
    scales = np.diag(matrix)[:3]
    if np.abs(matrix[:3, :3] - np.diag(scales)).max() > PARALLEL:
        turned: Array = scipy.ndimage.affine_transform(
            volume.astype(np.float64),
            matrix,
            output_shape=shape,
            output=np.float32,
            order=1,
            mode="nearest",
        )
        return turned
    places = [
        np.arange(side) * scale + shift
        for side, scale, shift in zip(shape, scales, matrix[:3, 3], strict=True)
    ]
    growth = [side / before for side, before in zip(shape, volume.shape, strict=True)]
    for axis in np.argsort(growth):  # what shrinks goes first: less is left for the others
        volume = _resample_axis(volume, int(axis), places[axis])
    return np.ascontiguousarray(volume, dtype=np.float32)


def _resample_axis(volume: Array, axis: int, places: Matrix) -> Array:
    last = volume.shape[axis] - 1
    inside = np.clip(places, 0, last)
    below = np.minimum(inside.astype(np.intp), max(last - 1, 0))
    share = (inside - below).astype(np.float32)
    if not share.any() and np.array_equal(below, np.arange(volume.shape[axis])):
        return volume
    shares = share.reshape([-1 if along == axis else 1 for along in range(3)])
    values = volume.take(below, axis).astype(np.float32, copy=False)
    step = volume.take(np.minimum(below + 1, last), axis).astype(np.float32, copy=False)
    step -= values
    step *= shares
    values += step
    return values
