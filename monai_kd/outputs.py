"""The vocabulary of the machinery: what is asked of a network, what it says, what a pair says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:  # who reads a task starts without torch
    from torch import Tensor

NO_FEATURES: Mapping[str, Tensor] = MappingProxyType({})


class Task(NamedTuple):
    """What a network is to answer, as `dataset.json` states it under `task`.

    Outputs are named in the order of the network's channels, each with the label values that it
    covers. Those of `regions` may overlap (sigmoid); those of `classes` exclude one another and
    have the background first (softmax); `classification` says one class of a whole image.

    >>> halves = {"background": (0,), "Anterior": (1,), "Posterior": (2,)}
    >>> len(Task("classes", 3, ("MRI",), halves).outputs)
    3
    """

    kind: Literal["regions", "classes", "classification"]
    spatial_dims: int
    channels: tuple[str, ...]
    outputs: Mapping[str, tuple[int, ...]]

    @property
    def scored(self) -> tuple[str, ...]:
        """All outputs but the background of a segmentation."""
        is_image = self.kind == "classification"
        return tuple(name for name, values in self.outputs.items() if is_image or values != (0,))


class NetworkOutput(NamedTuple):
    """Logits `(B, C, D, H, W)` of one network, and the inner features that were tapped, by name."""

    logits: Tensor
    features: Mapping[str, Tensor] = NO_FEATURES


class DistillationOutput(NamedTuple):
    """What student and teacher say of the same view; the teacher is absent from a twin's run."""

    student: NetworkOutput
    teacher: NetworkOutput | None = None
