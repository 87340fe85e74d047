"""What a person may choose, and what is chosen where nobody did."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from monai_kd.experiment.errors import ExperimentError


def choose_recipe(dataset_dir: str | None) -> str:
    """The full-size recipe for a person's own scans, the small one for phantoms."""
    return "phantom" if dataset_dir is None else "full"


def read_recipe(name: str, *, recipes: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The numbers of the recipe of this name."""
    if name not in recipes:
        near = get_close_matches(str(name), recipes, n=1, cutoff=0)
        raise ExperimentError(f"there is no recipe '{name}'; did you mean '{near[0]}'?")
    return recipes[name]


def check_counts(counts: Mapping[str, Any], *, least: int) -> None:
    """Stop at the first of these settings that is not a whole number of at least this."""
    for key, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ExperimentError(f"{key} is {value!r}, expected a whole number from {least} on")


def check_numbers(numbers: Mapping[str, Any], *, zero: bool) -> None:
    """Stop at the first of these settings that is not a finite number above (or at) zero."""
    for key, value in numbers.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
            expected = "0 or more" if zero else "more than 0"
            raise ExperimentError(f"{key} is {value!r}, expected a number of {expected}")


def check_share(name: str, value: Any) -> None:
    """Stop unless this setting is a number from 0 to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ExperimentError(f"{name} is {value!r}, expected a number from 0 to 1")


def find_multiple(network: nn.Module, window: Sequence[int]) -> int:
    """What the edges of an image must be multiples of.

    Our networks know it. Of any other it is certain only that it can take the window's own edges.
    """
    return int(getattr(network, "multiple", math.gcd(*window)))


def check_window(window: Sequence[int], *, network: nn.Module) -> None:
    """Stop if the network cannot take a window (D, H, W) of this size."""
    multiple = int(getattr(network, "multiple", 1))
    sizes = list(window) if isinstance(window, list | tuple) else []
    if len(sizes) != 3 or any(not isinstance(s, int) or s < 1 or s % multiple for s in sizes):
        example = [2 * multiple] * 3
        raise ExperimentError(
            f"window is {window!r}, expected three multiples of {multiple}, as in "
            f'--window "{example}"'
        )


def describe_data(dataset_file: str | os.PathLike[str], *, cases: Mapping[str, int]) -> str:
    """Plain words on the cases of a data set, for a model card."""
    dataset = json.loads(Path(dataset_file).read_text(encoding="utf-8"))
    counts = ", ".join(f"{count} {part}" for part, count in cases.items())
    if dataset["origin"] == "phantoms":
        return f"made-up phantoms ({counts} cases); it knows nothing of patients"
    return (
        f"scans in the layout {dataset['layout']} ({counts} cases), under the terms of their givers"
    )
