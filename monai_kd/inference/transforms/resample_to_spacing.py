"""Voxels of one size, without MONAI's change of mind about where the first of them lies."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, SpatialResample

LARGEST_COSINE = 1e-3  # between axes that count as perpendicular
TOLERANCE_MM = 1e-3  # between spacings that count as one
Matrix = npt.NDArray[np.float64]


class ResampleToSpacingd(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """Resample images (C X Y Z) to voxels of `pixdim` mm along their own axes; invertible.

    The first voxel stays where it is, as in the data that training reads. MONAI's `Spacingd` keeps
    it for some oblique scans and moves it for others, by the rounding of their affine.
    """

    def __init__(
        self, keys: KeysCollection, pixdim: Sequence[float], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.pixdim = np.asarray(pixdim, dtype=np.float64)
        self.resample = SpatialResample(mode="bilinear", padding_mode="border", dtype=np.float64)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with resampled images."""
        case = dict(data)
        for key in self.key_iterator(case):
            image = case[key]
            affine = np.asarray(image.affine, dtype=np.float64)
            sides, matrix = choose_grid(image.shape[1:], affine, pixdim=self.pixdim)
            target = torch.as_tensor(matrix)
            case[key] = self.resample(image, dst_affine=target, spatial_size=sides)
        return case

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with its images back on the voxels they came from."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = self.resample.inverse(case[key])
        return case


def choose_grid(
    shape: Sequence[int], affine: Matrix, *, pixdim: Matrix
) -> tuple[tuple[int, ...], Matrix]:
    """Return size and affine of the grid of that spacing; the own one where it has it already."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > LARGEST_COSINE:
        left, _, right = np.linalg.svd(directions)
        directions = left @ right
    elif np.abs(spacing - pixdim).max() <= TOLERANCE_MM:
        return tuple(shape), affine
    index = np.stack(np.meshgrid(*([0, side - 1] for side in shape), indexing="ij"), axis=-1)
    corners = index.reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
    along = corners @ np.linalg.inv(directions).T
    low, high = along.min(axis=0), along.max(axis=0)
    sides = np.round((high - low) / pixdim + 1).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = directions * pixdim, directions @ low
    return tuple(sides.tolist()), matrix
