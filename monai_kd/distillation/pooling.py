"""Means over cells of voxels, in 2D and 3D."""

from collections.abc import Sequence

from monai.networks.layers.factories import Pool
from torch import Tensor


def pool(volume: Tensor, stride: int) -> Tensor:
    """Average `(B, C, D, H, W)` or `(B, C, H, W)` over cells of `stride` voxels per axis."""
    if stride == 1:
        return volume
    pooled: Tensor = Pool[Pool.AVG, volume.ndim - 2](stride, ceil_mode=True)(volume)
    return pooled


def average_to(volume: Tensor, size: Sequence[int]) -> Tensor:
    """Average to a coarser grid of this size."""
    if tuple(volume.shape[2:]) == tuple(size):
        return volume
    pooled: Tensor = Pool[Pool.ADAPTIVEAVG, len(size)](tuple(size))(volume)
    return pooled
