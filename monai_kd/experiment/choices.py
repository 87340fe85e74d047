"""What a person may choose, and what is chosen where nobody did."""

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from monai_kd.experiment.configuration import LEAST, find_running_workflow
from monai_kd.experiment.errors import ExperimentError
from monai_kd.outputs import Task


def choose_recipe(dataset_dir: str | None) -> str:
    """The full-size recipe for a person's own scans, the small one for phantoms."""
    return "phantom" if dataset_dir is None else "full"


def read_recipe(name: str, *, recipes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The numbers of the recipe of this name."""
    if name not in recipes:
        near = get_close_matches(str(name), recipes, n=1, cutoff=0)
        raise ExperimentError(f"there is no recipe '{name}'; did you mean '{near[0]}'?")
    return recipes[name]


def read_choices() -> dict[str, Any]:
    """The numbers that a person may set in the running workflow; stop at one that cannot be."""
    parser = find_running_workflow().parser
    names = (*LEAST, "learning_rate", "modality_dropout")
    choices = {name: parser.get_parsed_content(name) for name in names}
    for name, least in LEAST.items():
        check_count(name, choices[name], least=least)
    check_positive("learning_rate", choices["learning_rate"])
    check_share("modality_dropout", choices["modality_dropout"])
    shown = ("recipe", "dataset_dir", "window")
    return choices | {name: parser.get_parsed_content(name) for name in shown}


def check_count(name: str, value: Any, *, least: int) -> None:
    """Stop unless this setting is a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ExperimentError(f"{name} is {value!r}, expected a whole number of {least} or more")


def check_positive(name: str, value: Any) -> None:
    """Stop unless this setting is a finite number above zero."""
    if not _is_number(value) or not math.isfinite(value) or value <= 0:
        raise ExperimentError(f"{name} is {value!r}, expected a number of more than 0")


def check_share(name: str, value: Any) -> None:
    """Stop unless this setting is a number from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ExperimentError(f"{name} is {value!r}, expected a number from 0 to 1")


def find_multiple(network: nn.Module, window: Sequence[int]) -> int:
    """What the edges of an image must be multiples of.

    Our networks know it. Of any other it is certain only that it can take the window's own edges.
    """
    return int(getattr(network, "multiple", math.gcd(*window)))


def check_window(window: Sequence[int], task: Task, *, network: nn.Module) -> None:
    """Stop if the network cannot take a window of this size, an edge for each spatial dimension."""
    dims, multiple = task.spatial_dims, int(getattr(network, "multiple", 1))
    sizes = list(window) if isinstance(window, list | tuple) else []
    fits = len(sizes) == dims and all(isinstance(s, int) and s > 0 for s in sizes)
    if not fits or any(size % multiple for size in sizes):
        example = [2 * multiple] * dims
        raise ExperimentError(
            f"window is {window!r}, expected {dims} multiples of {multiple}, as in "
            f'--window "{example}"'
        )


def choose_layout(spatial_dims: int) -> torch.memory_format:
    """Channels last: without it a depthwise convolution takes 2 to 4 times as long."""
    return torch.channels_last_3d if spatial_dims == 3 else torch.channels_last


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
