"""Masks of regions and classes, in 2D and 3D."""

import torch
from monai.networks.utils import one_hot
from torch import Tensor


def find_masks(logits: Tensor, *, exclusive: bool) -> Tensor:
    """Where a network holds a region likely, or a class likeliest, `(B, R, D, H, W)`."""
    if not exclusive:
        return logits > 0
    likeliest = logits.argmax(dim=1, keepdim=True)
    masks: Tensor = one_hot(likeliest, logits.shape[1], dtype=torch.bool)
    return masks


def dilate(mask: Tensor, voxels: int) -> Tensor:
    """Grow a mask `(B, R, D, H, W)` or `(B, R, H, W)` by so many voxels per axis.

    By steps along one axis after the other: on a CPU a tenth of the time of max pooling.
    """
    for axis in list(range(2, mask.ndim)) * voxels:
        inner = mask.shape[axis] - 1
        grown = mask.clone()
        grown.narrow(axis, 1, inner).logical_or_(mask.narrow(axis, 0, inner))
        grown.narrow(axis, 0, inner).logical_or_(mask.narrow(axis, 1, inner))
        mask = grown
    return mask
