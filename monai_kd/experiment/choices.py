"""What a bundle chooses by what it finds."""

import torch


def choose_recipe(dataset_dir: str | None) -> str:
    """The full-size recipe for a person's own scans, the small one for phantoms."""
    return "phantom" if dataset_dir is None else "full"


def choose_device() -> torch.device:
    """CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
