"""Geometry on the voxel grid, in units of half the shortest side, so that it scales with size.

Axis order is that of the stored volume: x to the left, y to the back, z to the top of the head.
Only IEEE-exact operations (no exp, sin or power), so that every machine gives the same voxels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Volume = npt.NDArray[np.floating[Any]]  # float32, but its arithmetic is typed no closer
Shape = tuple[int, int, int]
Point = tuple[float, float, float]

SPLINE_GAIN = 3.0  # a cubic B-spline shrinks white noise to a standard deviation of about 1/3


def voxel_size(shape: Shape) -> float:
    """Edge of a voxel in units of half the shortest side."""
    return 2.0 / min(shape)


def shape_of(volume: Volume) -> Shape:
    """Shape of a volume, typed as the three numbers that it is."""
    first, second, third = volume.shape
    return first, second, third


def coordinates(shape: Shape) -> list[Volume]:
    """Centre every axis on zero: three open arrays that broadcast to `shape`."""
    axes = [(np.arange(n) - (n - 1) / 2) * voxel_size(shape) for n in shape]
    return [axis.astype(np.float32) for axis in np.ix_(*axes)]


def smooth_field(rng: np.random.Generator, shape: Shape, cell: float) -> Volume:
    """Draw a smooth random field of about unit variance: white noise each `cell`, then a B-spline.

    The same generator gives the same field at every size of a cube.
    """
    positions = [np.arange(n) * (voxel_size(shape) / cell) for n in shape]
    knots = [int(np.ceil(n * voxel_size(shape) / cell)) + 4 for n in shape]
    field = (SPLINE_GAIN * rng.standard_normal(knots)).astype(np.float32)
    for axis, position in enumerate(positions):
        field = _interpolate(field, position, axis)
    return field


def ellipsoid_depth(point: Sequence[Volume], centre: Point, radii: Point) -> Volume:
    """Distance to the surface of an ellipsoid, positive inside; exact only for a sphere."""
    x, y, z = ((p - c) / r for p, c, r in zip(point, centre, radii, strict=True))
    reach = np.sqrt(x * x + y * y + z * z)
    slope = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    depth: Volume = reach * (1 - reach) / (slope + np.float32(1e-6))
    return depth


def sheet_distance(field: Volume) -> Volume:
    """Distance to the nearest zero of `field`, to first order: |f| / |grad f|, in units."""
    gradient = np.gradient(field, voxel_size(shape_of(field)))
    steepness = np.sqrt(sum(part * part for part in gradient))
    distance: Volume = np.abs(field) / (steepness + np.float32(0.05))
    return distance


def soft_inside(depth: Volume) -> Volume:
    """Membership 0..1 of a voxel at `depth`: a ramp two voxels wide, the partial volume."""
    membership: Volume = np.clip(depth / (2 * voxel_size(shape_of(depth))) + 0.5, 0, 1)
    return membership


def _interpolate(field: Volume, position: Volume, axis: int) -> Volume:
    start = np.floor(position).astype(int)
    taps = _spline_weights(position - start)
    spread = [1, 1, 1]
    spread[axis] = -1
    parts = (
        np.take(field, start + offset, axis=axis) * tap.astype(np.float32).reshape(spread)
        for offset, tap in enumerate(taps)
    )
    return np.asarray(sum(parts), dtype=np.float32)


def _spline_weights(t: Volume) -> list[Volume]:
    rest = 1 - t
    return [
        rest * rest * rest / 6,
        (3 * t * t * t - 6 * t * t + 4) / 6,
        (3 * rest * rest * rest - 6 * rest * rest + 4) / 6,
        t * t * t / 6,
    ]
