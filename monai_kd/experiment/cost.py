"""What a network costs: parameters, multiply-accumulates, time."""

import time
from collections.abc import Sequence
from statistics import median

import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_cost(
    network: nn.Module, *, channels: int, window: Sequence[int]
) -> dict[str, int | list[int]]:
    """Parameters, and multiply-accumulates of one window `(D, H, W)`."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, channels, *window))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "macs": counter.get_total_flops() // 2,
        "window": list(window),
    }


def time_inference(
    network: nn.Module, *, images: Sequence[Tensor], inferer: Inferer
) -> tuple[float, list[Tensor]]:
    """Median milliseconds a volume, and the logits `(C, D, H, W)` of each image `(1, C, D, H, W)`.

    The first image is segmented once more beforehand, so that warming up is not measured.
    """
    logits, milliseconds = [], []
    with torch.inference_mode():
        inferer(images[0], network)
        for image in images:
            start = time.perf_counter()
            logits.append(inferer(image, network)[0])
            milliseconds.append(1000 * (time.perf_counter() - start))
    return median(milliseconds), logits
