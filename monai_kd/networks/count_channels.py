"""How wide a tapped feature is, for what has to be as wide."""

from collections.abc import Sequence

import torch
from torch import nn

from monai_kd.networks.tapped_network import TappedNetwork


def count_channels(network: nn.Module, tap: str, shape: Sequence[int]) -> int:
    """Channels of the feature `tap`, from one run on an empty image (B, C, D, H, W) of this shape.

    Of tokens `(B, N, C)` they are the last axis, of all else the second. The network keeps its
    mode, weights and statistics.
    """
    modes = {module: module.training for module in network.modules()}
    parameter = next(network.parameters())
    tapped = TappedNetwork(network, taps=[tap]).eval()
    with torch.no_grad():
        output = tapped(torch.zeros(*shape, device=parameter.device, dtype=parameter.dtype))
    for module, training in modes.items():
        module.training = training
    feature = output.features[tap]
    return int(feature.shape[-1] if feature.ndim == 3 else feature.shape[1])
