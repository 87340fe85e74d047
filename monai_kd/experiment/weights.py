"""Checkpoints: written whole and alike each time, read without pickle."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from monai_kd.files import replace_file

StrPath = str | os.PathLike[str]


def save_state(state: Mapping[str, Any], path: StrPath) -> None:
    """Save through an open file: torch writes the name of one that it opens itself into it."""
    with replace_file(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def read_weights(checkpoint: StrPath) -> dict[str, Any]:
    """A network's state dict, plain or under `model`."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    found: dict[str, Any] = saved.get("model", saved)
    return found


def load_weights(network: nn.Module, checkpoint: StrPath) -> None:
    """Load a state dict, plain or under `model`, into the network."""
    network.load_state_dict(read_weights(checkpoint))
