"""A small finished run, made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REGIONS = ("TC", "WT", "ET")
MANIFEST = {
    "run": "phantoms <b>",
    "created": "2026-01-01T12:00:00",
    "command": "python -m monai.bundle run training",
    "seed": 0,
    "config_hash": "c0ffee",
    "data_hash": "beef",
    "versions": {"monai": "1.6.1"},
    "device": "cpu",
    "threads": 2,
    "cases": {"training": 24, "validation": 6, "test": 10},
    "left_out": ["glioma_<9>"],
    "teacher": {"folder": "runs/teacher", "weights_sha256": "f00d"},
    "settings": {"max_epochs": 2},
}


@pytest.fixture
def metrics() -> dict[str, Any]:
    return make_metrics()


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return write_run(tmp_path)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


def write_run(folder: Path) -> Path:
    label = np.zeros((2, 24, 20), np.uint8)
    label[:, 6:18, 5:15], label[:, 8:14, 7:12], label[:, 10:12, 8:10] = 2, 3, 1
    background = np.where(label > 0, 0.8, 0.4).astype(np.float32)
    background[:, :3] = 0.0
    drawn = dict.fromkeys(("truth", "teacher", "student", "twin"), label)
    cases = np.array(["glioma_1", "glioma_2"])
    np.savez_compressed(folder / "slices.npz", cases=cases, background=background, **drawn)
    (folder / "metrics.json").write_text(json.dumps(make_metrics()))
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    return folder


def make_metrics() -> dict[str, Any]:
    networks = {
        "teacher": make_network(0.9, parameters=25_000_000, milliseconds=5000.0),
        "student": make_network(0.8, parameters=250_000, milliseconds=200.0),
        "twin": make_network(0.75, parameters=250_000, milliseconds=200.0),
    }
    titles = {"t1ce": "T1ce", "TC": "tumour core", "WT": "whole tumour", "ET": "enhancing tumour"}
    about = {"metric": "Dice", "outputs": list(REGIONS), "channels": ["t1ce"], "titles": titles}
    return about | {"networks": networks}


def make_network(mean: float, *, parameters: int, milliseconds: float) -> dict[str, Any]:
    losses = {"total": 1.2, "supervised": 1.0, "soft_label": 0.2}
    score = dict.fromkeys((*REGIONS, "mean"), mean)
    return {
        "score": score,
        "cases": [{"case": "glioma_1", **score}, {"case": "glioma_2", **score, "ET": None}],
        "parameters": parameters,
        "macs": 900_000_000,
        "window": [64, 64, 64],
        "cpu_ms_per_volume": milliseconds,
        "volume_shape": [24, 20, 16],
        "history": [
            {"epoch": 1, "loss": losses, "score": None, "seconds": 3.2},
            {"epoch": 2, "loss": losses, "score": score, "seconds": 3.1},
        ],
    }
