"""Where voxels lie: any scan to right, front, top (RAS), and the grid that a case is brought to.

Axes are permuted and flipped, which loses nothing; only a spacing, a shear or another scan's grid
that differs makes anything be interpolated. An oblique scan keeps its axes.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine, from_matvec
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from data_prep.errors import DatasetError

Matrix = npt.NDArray[np.float64]
Shape = tuple[int, int, int]

MAX_VOXELS = 2**29  # of a resampled volume
TOLERANCE_MM = 1e-3  # grids whose corners lie closer than this are one grid
LARGEST_COSINE = 1e-3  # between axes that count as perpendicular


@dataclass(frozen=True, eq=False)
class Grid:
    """`shape` voxels along three axes; `affine` takes an index, of a voxel's centre, to mm."""

    shape: Shape
    affine: Matrix

    @property
    def spacing_mm(self) -> Matrix:
        """Distance between neighbours along each axis."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), dtype=np.float64)

    @property
    def corners_mm(self) -> Matrix:
        """Centres of the eight corner voxels."""
        corners = np.array(list(product(*((0, side - 1) for side in self.shape))))
        return np.asarray(apply_affine(self.affine, corners), dtype=np.float64)

    @property
    def largest_cosine(self) -> float:
        """Between two axes: 0 where all of them meet at right angles."""
        axes = self.affine[:3, :3] / self.spacing_mm
        return float(np.abs(axes.T @ axes - np.eye(3)).max())

    def is_same(self, other: "Grid") -> bool:
        """Tell whether the voxels of both lie in the same places."""
        return self.shape == other.shape and self.distance_mm(other) <= TOLERANCE_MM

    def distance_mm(self, other: "Grid") -> float:
        """How far the same corner of both lies apart, at the most."""
        return float(np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max())

    def cut(self, box: tuple[slice, ...]) -> "Grid":
        """Return the part of this grid that `array[box]` lies on."""
        start = [side.start for side in box]
        shape = tuple(int(side.stop - side.start) for side in box)
        shift = from_matvec(np.eye(3), start)
        return Grid((shape[0], shape[1], shape[2]), self.affine @ shift)


def choose_grid(shape: Shape, affine: Matrix, *, spacing_mm: tuple[float, ...] | None) -> Grid:
    """Return the RAS grid for a scan: its own where its spacing is `spacing_mm` or that is None.

    Otherwise a grid along the same axes from the same first voxel on.

    >>> choose_grid((10, 10, 5), np.diag([1.0, 1, 2, 1]), spacing_mm=(1, 1, 1)).shape
    (10, 10, 9)
    """
    own = grid_of(shape, affine)
    wanted = own.spacing_mm if spacing_mm is None else np.asarray(spacing_mm, dtype=np.float64)
    straight = own.largest_cosine <= LARGEST_COSINE
    if straight and np.abs(own.spacing_mm - wanted).max() <= TOLERANCE_MM:
        return own
    directions = own.affine[:3, :3] / own.spacing_mm
    axes = directions if straight else _nearest_rotation(directions)
    along = own.corners_mm @ np.linalg.inv(axes).T
    low, high = along.min(axis=0), along.max(axis=0)
    sides = np.round((high - low) / wanted + 1)
    if sides.prod() > MAX_VOXELS:
        raise DatasetError(f"its grid of {wanted} mm would have {sides.prod():.2g} voxels")
    matrix = from_matvec(axes * wanted, axes @ low)
    return Grid((int(sides[0]), int(sides[1]), int(sides[2])), matrix)


def grid_of(shape: Shape, affine: Matrix) -> Grid:
    """Return where the voxels of a scan lie once it is turned to RAS."""
    turned = turn_to_ras(np.broadcast_to(np.uint8(0), shape), affine).shape
    undo = inv_ornt_aff(_orientation(affine), shape)
    return Grid((turned[0], turned[1], turned[2]), affine @ undo)


def turn_to_ras(array: npt.NDArray[Any], affine: Matrix) -> npt.NDArray[Any]:
    """Return a view whose axes run to the right, the front and the top, as nearly as they can.

    >>> to_the_left = np.diag([-1.0, 1, 1, 1])
    >>> turn_to_ras(np.arange(3).reshape(3, 1, 1), to_the_left).ravel().tolist()
    [2, 1, 0]
    """
    turned = apply_orientation(array, _orientation(affine))
    return np.asarray(turned)


def _orientation(affine: Matrix) -> npt.NDArray[Any]:
    return _orientation_of(np.ascontiguousarray(affine, dtype=np.float64).tobytes())


@lru_cache(maxsize=16)  # the files of a case share it, and each is asked several times
def _orientation_of(affine: bytes) -> npt.NDArray[Any]:
    orientation: npt.NDArray[Any] = io_orientation(np.frombuffer(affine).reshape(4, 4))
    return orientation


def _nearest_rotation(axes: Matrix) -> Matrix:
    """The perpendicular axes that differ least from `axes`: the polar decomposition's."""
    left, _, right = np.linalg.svd(axes)
    return np.asarray(left @ right, dtype=np.float64)
