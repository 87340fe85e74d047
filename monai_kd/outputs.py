"""The vocabulary between networks and losses: what one network says, and what a pair says."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

NO_FEATURES: Mapping[str, Tensor] = MappingProxyType({})


class NetworkOutput(NamedTuple):
    """Logits `(B, C, D, H, W)` of one network, and the inner features that were tapped, by name."""

    logits: Tensor
    features: Mapping[str, Tensor] = NO_FEATURES


class DistillationOutput(NamedTuple):
    """What student and teacher say of the same view; the teacher is absent from a twin's run."""

    student: NetworkOutput
    teacher: NetworkOutput | None = None
