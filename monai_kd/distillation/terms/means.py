"""Means over voxels and over levels."""

from collections.abc import Sequence

import torch
from einops import reduce
from torch import Tensor

SUM_OVER_BATCH_AND_SPACE = "b r ... -> r"


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean per region over batch and space, zero where there is no weight."""
    total = reduce(values * weights, SUM_OVER_BATCH_AND_SPACE, "sum")
    weight = reduce(weights, SUM_OVER_BATCH_AND_SPACE, "sum")
    return total / weight.clamp(min=torch.finfo(weight.dtype).eps)


def balanced_mean(values: Tensor, foreground: Tensor, *, trust: Tensor) -> Tensor:
    """Half the weighted mean of the foreground plus half that of the rest, per region."""
    inside = weighted_mean(values, trust * foreground)
    outside = weighted_mean(values, trust * (1 - foreground))
    return 0.5 * (inside + outside)


def average_levels(losses: Sequence[Tensor]) -> Tensor:
    """Mean with weights 1, 1/2, 1/4, ..., finest level first."""
    weights = [0.5**level for level in range(len(losses))]
    weighed = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
    return torch.stack(weighed).sum() / sum(weights)
