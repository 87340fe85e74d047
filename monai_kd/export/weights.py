"""The student's weights, proven to fit the network before they are shared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from monai_kd.errors import UserError


def read_weights(
    checkpoint: Path, *, network_config: Mapping[str, Any], shape: Sequence[int], outputs: int
) -> dict[str, torch.Tensor]:
    """Return the plain state dict in `checkpoint`, on the CPU; refuse one that does not fit.

    The network takes images of `shape` (C, ...) and returns `outputs` channels of that size.
    """
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights: dict[str, torch.Tensor] = saved.get("model", saved)
    network = make_network(network_config)
    network.load_state_dict(weights)
    _check_shapes(network.eval(), shape=shape, outputs=outputs)
    return weights


def make_network(network_config: Mapping[str, Any]) -> torch.nn.Module:
    """Return the network that a configuration describes, with weights of its own."""
    parser = ConfigParser({"network_def": dict(network_config)})
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    return network


@torch.inference_mode()
def _check_shapes(network: torch.nn.Module, *, shape: Sequence[int], outputs: int) -> None:
    found = tuple(network(torch.zeros(1, *shape)).shape)
    expected = (1, outputs, *shape[1:])
    if found != expected:
        raise UserError(f"the network returns {found} where the metadata promises {expected}")
