"""Where training runs: on which device, in how many processes."""

import os

import torch

from monai_kd.experiment.errors import ExperimentError


def check_place(device: torch.device | str) -> None:
    """Stop unless training can run on this device, in this one process."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise ExperimentError(
            f"{processes} processes were started, as by torchrun, and each would train the whole: "
            "start one, with python -m monai.bundle run"
        )
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ExperimentError(
            f"device is {device!r}, expected cpu, cuda, or one of several as cuda:1"
        ) from error
    count = torch.cuda.device_count()
    if wanted.type == "cuda" and (wanted.index or 0) >= count:
        raise ExperimentError(
            f"device is {str(wanted)!r}, and torch {torch.__version__} finds {count} CUDA devices: "
            "take --device cpu, or a torch with CUDA and a driver for it"
        )
