"""Overlapping tumour regions to the one label map that people and viewers read."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform


class RegionsToLabeld(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Turn binary regions TC, WT, ET (3 D H W) into one uint8 label channel (1 D H W).

    `labels` are the values of necrotic core, oedema and enhancing tumour: 1, 2, 3 by default,
    because viewers and DICOM writers index contiguous labels; BraTS up to 2022 wrote 1, 2, 4.
    The inner region wins: ET over TC over WT.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        labels: Sequence[int] = (1, 2, 3),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.necrosis, self.oedema, self.enhancing = labels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with the label map under each of the keys."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = self._merge(case[key])
        return case

    def _merge(self, regions: torch.Tensor) -> torch.Tensor:
        if len(regions) != 3:
            raise ValueError(f"{len(regions)} channel(s), expected 3 regions: TC, WT, ET")
        core, whole, enhancing = (regions[i : i + 1] > 0 for i in range(3))
        label: torch.Tensor = whole.to(torch.uint8) * self.oedema
        label[core] = self.necrosis
        label[enhancing] = self.enhancing
        if hasattr(label, "meta"):
            # MONAI 1.6.1's SaveImage would take a channel kept from a stack of four for an axis
            # of the volume, and fail for sagittal and coronal storage.
            label.meta = {**label.meta, "original_channel_dim": float("nan")}
        return label
