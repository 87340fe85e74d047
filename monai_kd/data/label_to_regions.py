"""Label values to the overlapping regions that are trained and scored."""

from collections.abc import Hashable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform


class LabelToRegionsd(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Turn a label (1 X Y Z) into regions (R X Y Z) of 0 and 1, each a union of label values.

    `regions` come from the data set, because the conventions differ: an enhancing tumour is 4 in
    BraTS up to 2021 and 3 from 2023 on. MONAI's own transform knows one of them at a time.
    """

    def __init__(
        self,
        keys: KeysCollection,
        regions: Mapping[str, Sequence[int]],
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.regions = {name: tuple(values) for name, values in regions.items()}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with regions, in their order, in the place of each label."""
        case = dict(data)
        for key in self.key_iterator(case):
            regions = [_unite(case[key], values) for values in self.regions.values()]
            case[key] = torch.cat(regions).to(torch.float32)
        return case


def _unite(label: torch.Tensor, values: Sequence[int]) -> torch.Tensor:
    """Where the label has one of the values; 10 times faster than `torch.isin`."""
    return reduce(torch.logical_or, (label == value for value in values))
