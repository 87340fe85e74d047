"""A network's outputs to the one label map that people and viewers read."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import MapTransform


class RegionsToLabeld(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Turn binary regions (K D H W), which may overlap, into one uint8 label (1 D H W).

    `outputs` holds the label values that each region covers, in the network's order. A value is
    drawn where the narrowest regions that cover it are found; values that more regions cover are
    drawn over others, so of nested regions the inner wins.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        outputs: Mapping[str, Sequence[int]],
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.outputs = {name: tuple(values) for name, values in outputs.items()}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with the label map under each of the keys."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = self._draw(case[key])
        return case

    def _draw(self, regions: torch.Tensor) -> torch.Tensor:
        _check_channels(regions, self.outputs)
        covering: dict[tuple[int, ...], int] = {}
        for value in sorted({value for values in self.outputs.values() for value in values}):
            own = tuple(k for k, values in enumerate(self.outputs.values()) if value in values)
            covering.setdefault(own, value)  # values of the same regions are drawn as one
        sizes = [len(values) for values in self.outputs.values()]
        label = torch.zeros_like(regions[:1], dtype=torch.uint8)
        for own, value in sorted(covering.items(), key=lambda item: len(item[0])):
            least = min(sizes[k] for k in own)
            narrowest = [k for k in own if sizes[k] == least]
            label[(regions[narrowest] > 0).all(dim=0, keepdim=True)] = value
        return _forget_channels(label)


class ClassesToLabeld(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Turn probabilities of exclusive classes (K D H W) into one uint8 label (1 D H W).

    `outputs` holds the one label value of each class, the background first.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        outputs: Mapping[str, Sequence[int]],
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.outputs = dict(outputs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with the label map under each of the keys."""
        case = dict(data)
        for key in self.key_iterator(case):
            _check_channels(case[key], self.outputs)
            chosen = case[key].argmax(dim=0, keepdim=True)
            label = torch.zeros_like(chosen, dtype=torch.uint8)
            for index, (value, *_) in enumerate(self.outputs.values()):
                label[chosen == index] = value
            case[key] = _forget_channels(label)
        return case


def _check_channels(found: torch.Tensor, outputs: Mapping[str, Any]) -> None:
    if len(found) != len(outputs):
        expected = f"expected {len(outputs)}: {', '.join(outputs)}"
        raise ValueError(f"{len(found)} channel(s), {expected}")


def _forget_channels(label: torch.Tensor) -> torch.Tensor:
    """MONAI 1.6.1's SaveImage would take a channel kept from a stack for an axis of the volume.

    It would fail for sagittal and coronal storage.
    """
    if hasattr(label, "meta"):
        label.meta = {**label.meta, "original_channel_dim": float("nan")}
    return label
