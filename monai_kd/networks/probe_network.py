"""What a network says of an empty image, for what has to fit it."""

from collections.abc import Sequence

import torch
from torch import nn

from monai_kd.networks.tapped_network import TappedNetwork
from monai_kd.outputs import NetworkOutput


def probe_network(
    network: nn.Module, *, taps: Sequence[str], shape: Sequence[int]
) -> NetworkOutput:
    """Logits and tapped features of an empty image `(B, C, D, H, W)` of this shape.

    The network keeps its mode, weights and statistics.
    """
    modes = {module: module.training for module in network.modules()}
    parameter = next(network.parameters())
    tapped = TappedNetwork(network, taps=taps).eval()
    with torch.no_grad():
        image = torch.zeros(*shape, device=parameter.device, dtype=parameter.dtype)
        output: NetworkOutput = tapped(image)
    for module, training in modes.items():
        module.training = training
    return output
