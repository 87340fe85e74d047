"""Masks grown by voxels, in 2D and 3D."""

from monai.networks.layers.factories import Pool
from torch import Tensor


def dilate(mask: Tensor, voxels: int) -> Tensor:
    """Grow a mask `(B, R, D, H, W)` or `(B, R, H, W)` of 0 and 1 by so many voxels per axis."""
    grown: Tensor = Pool[Pool.MAX, mask.ndim - 2](2 * voxels + 1, stride=1, padding=voxels)(mask)
    return grown
