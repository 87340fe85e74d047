"""Where the network runs when nobody says where."""

import torch


def choose_device() -> torch.device:
    """Return the first CUDA device, or the CPU where there is none."""
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
