"""Means over voxels and over levels."""

from collections.abc import Sequence

import torch
from einops import reduce
from torch import Tensor

OVER_BATCH_AND_SPACE = "b r ... -> r"


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean per region over batch and space; zero where no weight is, None weighs all alike."""
    if weights is None:
        return reduce(values, OVER_BATCH_AND_SPACE, "mean")
    total = reduce(values * weights, OVER_BATCH_AND_SPACE, "sum")
    weight = reduce(weights, OVER_BATCH_AND_SPACE, "sum")
    return total / weight.clamp(min=torch.finfo(weight.dtype).eps)


def balanced_mean(values: Tensor, foreground: Tensor, *, trust: Tensor | None = None) -> Tensor:
    """Half the weighted mean of the foreground plus half that of the rest, per region."""
    inside, outside = foreground, 1 - foreground
    if trust is not None:
        inside, outside = trust * inside, trust * outside
    return 0.5 * (weighted_mean(values, inside) + weighted_mean(values, outside))


def average_levels(losses: Sequence[Tensor]) -> Tensor:
    """Mean with weights 1, 1/2, 1/4, ..., finest level first."""
    weights = [0.5**level for level in range(len(losses))]
    weighed = [weight * loss for weight, loss in zip(weights, losses, strict=True)]
    return torch.stack(weighed).sum() / sum(weights)
