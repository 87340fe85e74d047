"""What a finished run says of itself, made up: its list of cases and its scores."""

import json
from pathlib import Path
from typing import Any

from data_prep.brats.labels import BRATS2021
from data_prep.brats.looks import describe_study
from data_prep.brats.sequences import SEQUENCES
from data_prep.datalist import state_task
from data_prep.schemes import LabelScheme

SCORE = {"TC": 0.81, "WT": 0.9, "ET": None, "mean": 0.855}


def write_facts(folder: Path, *, score: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write `metrics.json` and `dataset.json`, and return what `pack_bundle` takes of them."""
    network = {"score": score or SCORE, "parameters": 250_000, "cpu_ms_per_volume": 200.0}
    networks = dict.fromkeys(("teacher", "student", "twin"), network)
    metrics = {"metric": "Dice", "outputs": ["TC", "WT", "ET"], "networks": networks}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "dataset.json").write_text(json.dumps(describe_dataset()))
    return {
        "metrics_file": folder / "metrics.json",
        "dataset_file": folder / "dataset.json",
        "cases": {"training": 2},
    }


def describe_dataset(
    channels: tuple[str, ...] = SEQUENCES, scheme: LabelScheme = BRATS2021, **other: Any
) -> dict[str, Any]:
    """The head of a `dataset.json`."""
    named = {str(value): name for value, name in scheme.labels.items()}
    return {
        "name": "made up",
        "origin": "phantoms",
        "layout": "BraTS 2019",
        "task": state_task(channels, scheme.regions),
        "study": describe_study(channels, scheme.regions),
        "labels": {"0": "background"} | named,
        "settings": {"spacing_mm": [1.0, 1.0, 1.0]},
        **other,
    }
