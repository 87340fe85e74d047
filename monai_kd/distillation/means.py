"""Means over voxels and over levels."""

from collections.abc import Sequence

import torch
from torch import Tensor


def balance(foreground: Tensor, *, trust: Tensor | None = None) -> Tensor:
    """Weights of voxels, of sum one half in the foreground and in the rest, for each region.

    A region's voxels are those of all windows. A side without any voxel has no weight. `trust`
    shifts the weight of a side to the voxels that are trusted.
    """
    inside = sum_voxels(foreground if trust is None else trust * foreground)
    total = sum_voxels(torch.ones_like(foreground) if trust is None else trust)
    outside = total - inside
    weights = torch.where(foreground, 0.5 / keep_off_zero(inside), 0.5 / keep_off_zero(outside))
    return weights if trust is None else trust * weights


def sum_voxels(values: Tensor) -> Tensor:
    """Sum over windows and space, `(1, R, 1, 1, 1)`."""
    return values.sum(dim=(0, *range(2, values.ndim)), keepdim=True)


def keep_off_zero(total: Tensor) -> Tensor:
    """A divisor: where there is nothing to divide, any will do."""
    total = total.to(torch.promote_types(total.dtype, torch.float32))
    return total.clamp(min=torch.finfo(total.dtype).eps)


def average_levels(losses: Sequence[Tensor]) -> Tensor:
    """Mean with weights 1, 1/2, 1/4, ..., finest level first."""
    weights = [0.5**level for level in range(len(losses))]
    weighed = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
    return torch.stack(weighed).sum() / sum(weights)
