"""What a network costs: parameters, multiply-accumulates, time."""

import time
from collections.abc import Sequence

import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

TIMED_REPEATS = 7


def count_cost(
    network: nn.Module, *, channels: int, window: Sequence[int]
) -> dict[str, int | list[int]]:
    """Parameters, and multiply-accumulates of one window `(D, H, W)`."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter cannot see into fused attention
    try:
        plain = sdpa_kernel(SDPBackend.MATH)
        with torch.inference_mode(), plain, FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, channels, *window))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs": counter.get_total_flops() // 2,
        "window": list(window),
    }


def time_inference(
    network: nn.Module, *, images: Sequence[Tensor], inferer: Inferer
) -> tuple[float, list[Tensor]]:
    """Milliseconds for the first image, and the logits `(C, D, H, W)` of each `(1, C, D, H, W)`.

    The time is the least of several: what other processes take away is not the network's.
    """
    milliseconds = []
    with torch.inference_mode():
        logits = [inferer(image, network)[0] for image in images]
        for _ in range(TIMED_REPEATS):
            start = time.perf_counter()
            inferer(images[0], network)
            milliseconds.append(1000 * (time.perf_counter() - start))
    return min(milliseconds), logits
