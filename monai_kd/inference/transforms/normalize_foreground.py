"""Intensities of a scan on one scale, whatever the scanner and however stray a voxel."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

ROUNDING = 1e-4  # of the mean magnitude: what interpolation may make of nothing


class NormalizeForegroundd(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """`(clip(v, low, high) - mean) / std` of each channel's foreground; what is none becomes 0.

    `low` and `high` are percentiles of these voxels, so one voxel of 10^6 moves nothing; mean and
    standard deviation are of the clipped ones. It is the rule by which training data is prepared.
    """

    def __init__(
        self,
        keys: KeysCollection,
        percentiles: Sequence[float] = (0.5, 99.5),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.percentiles = tuple(percentiles)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with each image (C X Y Z) normalised."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = case[key].clone()
            for channel in case[key]:
                self._normalise(channel)
        return case

    def _normalise(self, channel: torch.Tensor) -> None:
        foreground = is_foreground(channel)
        channel[~foreground] = 0
        values = channel[foreground].cpu().numpy().astype(np.float64)
        if not values.size:
            return
        low, high = np.percentile(values, self.percentiles)
        values = np.clip(values, low, high)
        values = (values - values.mean()) / (values.std() or 1.0)
        channel[foreground] = torch.as_tensor(values, dtype=channel.dtype, device=channel.device)


def is_foreground(image: torch.Tensor) -> torch.Tensor:
    """Tell which voxels hold something, and not only what rounding has left of nothing."""
    size = image.abs()
    return size > ROUNDING * size.mean()
