"""A look at a scan before work: what cannot be segmented is refused by name."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform


class CheckImaged(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Refuse an image (C D H W) with a wrong number of channels, an empty one, or NaN in it.

    One NaN voxel spreads through the normalisation to the whole volume and would end, without a
    word, as an empty mask.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        channels: Sequence[str],
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.channels = tuple(channels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case unchanged, or raise a ValueError of one line that names the file."""
        for key in self.key_iterator(dict(data)):
            fault = self._find_fault(torch.as_tensor(data[key]))
            if fault:
                raise ValueError(f"{_name_of(data[key])}: {fault}")
        return dict(data)

    def _find_fault(self, image: torch.Tensor) -> str | None:
        if len(image) != len(self.channels):
            return (
                f"{len(image)} channel(s), expected {len(self.channels)} in the order "
                f"{', '.join(self.channels)}; give one file per channel, or one 4D file"
            )
        for channel, volume in zip(self.channels, image, strict=True):
            broken = int(volume.numel() - torch.isfinite(volume).sum())
            if broken:
                return f"{broken} voxel(s) of {channel} are NaN or infinite; export the scan again"
            if volume.min() == volume.max():
                return f"every voxel of {channel} is {float(volume.min()):g}; the scan is empty"
        return None


def _name_of(image: Any) -> str:
    return str(getattr(image, "meta", {}).get("filename_or_obj", "image"))
