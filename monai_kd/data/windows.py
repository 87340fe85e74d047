"""Random windows of a case, read from disk without the rest of it."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, SpatialPad

from data_prep.scans.store import open_array
from monai_kd.data.voxels import Block, read_block


class RandLoadWindowsd(Randomizable, MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Read `num_samples` windows of a voxelised case, `foreground` of them around a labelled voxel.

    Such a window's centre is a voxel of a label value that is drawn first, so that the smallest
    region of a case is met as often as the largest; any other window lies anywhere. What reaches
    beyond the case is filled with zeros. It does what `LoadImaged` and `RandCropByPosNegLabeld` do
    together, at the cost of the window alone.

    Args:
        keys: image and label, all on one grid.
        label_key: whose locations choose the centre; a case without it is read anywhere.
        spatial_size: of the window, in voxels (X Y Z).
        num_samples: windows of a case; they come as a list, as from MONAI's crops.
        foreground: the probability of a centre on a labelled voxel.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        spatial_size: Sequence[int],
        label_key: str = "label",
        num_samples: int = 1,
        foreground: float = 2 / 3,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.size = np.asarray(spatial_size)
        self.label_key = label_key
        self.num_samples = num_samples
        self.foreground = foreground
        self.pad = SpatialPad(spatial_size)
        self.blocks: list[Block] = []

    def randomize(self, data: Mapping[Hashable, Any]) -> None:
        """Draw where each window lies."""
        source = open_array(data.get(self.label_key, data[self.first_key(dict(data))]))
        locations = source.schunk.vlmeta["locations"] if self.label_key in data else {}
        shape = np.array(source.shape[-3:])
        self.blocks = [self._draw_block(locations, shape) for _ in range(self.num_samples)]

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Return the windows, each with what else the case holds."""
        self.randomize(data)
        windows = [dict(data) for _ in self.blocks]
        for window, block in zip(windows, self.blocks, strict=True):
            for key in self.key_iterator(window):
                window[key] = self.pad(read_block(window[key], block))
        return windows

    def _draw_block(
        self, locations: Mapping[str, Sequence[Sequence[int]]], shape: npt.NDArray[Any]
    ) -> Block:
        start = self._draw_start(locations, np.maximum(shape - self.size, 0))
        ends = np.minimum(start + self.size, shape)
        return tuple(slice(int(low), int(high)) for low, high in zip(start, ends, strict=True))

    def _draw_start(
        self, locations: Mapping[str, Sequence[Sequence[int]]], free: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        if not locations or self.R.random() >= self.foreground:
            return np.asarray(self.R.randint(free + 1))
        of_value = locations[sorted(locations)[self.R.randint(len(locations))]]
        centre = np.array(of_value[self.R.randint(len(of_value))])
        return np.asarray(np.clip(centre - self.size // 2, 0, free))
