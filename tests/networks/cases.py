"""The networks that the laws of `test_network_laws.py` are asked of, small and seeded."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from monai_kd.networks import (
    ConvTeacher,
    EfficientNetStudent,
    HybridTeacher,
    MultiScaleFusion,
    PlainFusion,
)

CHANNELS = (4, 6, 8)
HYBRID = partial(HybridTeacher, stage_channels=CHANNELS, hidden_size=32, layers=3)
TEACHERS = {
    "conv": partial(ConvTeacher, stage_channels=CHANNELS),
    "concatenation": HYBRID,
    "sum": partial(HYBRID, fusion=partial(MultiScaleFusion, joining="sum")),
    "attention": partial(HYBRID, fusion=partial(MultiScaleFusion, joining="attention")),
    "plain": partial(HYBRID, fusion=PlainFusion),
}
ALL_KINDS = [(8, 1, 2, "early"), (16, 2, 4, "mbconv"), (16, 1, 2, "fused")]
STUDENT = partial(EfficientNetStudent, stages=ALL_KINDS)
STUDENTS = {"student": STUDENT, "squeeze": partial(STUDENT, squeeze_excitation=True)}
NETWORKS: dict[str, partial[nn.Module]] = {**TEACHERS, **STUDENTS}
HEADS = {"segmentation": 3, "classification": 0}  # with levels of deep supervision


def seeded_network(name: str, spatial_dims: int = 3, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name](spatial_dims, **arguments)


def choose_head(name: str, head: str) -> dict[str, Any]:
    """Arguments for a head, of a teacher with all levels that it has."""
    deep = {"deep_supervision": HEADS[head]} if name in TEACHERS else {}
    return {"head": head, **deep}


def random_image(*size: int, batch: int = 2, channels: int = 4) -> Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(1))


def small_network(seed: int = 0) -> nn.Sequential:
    """A plain network of three modules, for images of four channels."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv3d(4, 6, 3, padding=1), nn.BatchNorm3d(6), nn.Conv3d(6, 3, 1))


def count_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def starved(network: nn.Module) -> list[str]:
    """Names of parameters without a gradient that is finite and somewhere not zero."""
    return [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not 0 < weight.grad.abs().sum() < float("inf")
    ]
