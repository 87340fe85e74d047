"""A run's student and measurements, made up, and the bundle that is packed from them."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_kd.export import pack_bundle
from monai_kd.networks import EfficientNetStudent
from tests.made_up_run import write_facts

BUNDLES = Path(__file__).parents[2] / "bundles"
AUTHORED = ("inference.yaml", "preprocessing.yaml", "metadata.json", "logging.conf")
KINDS = ("regions.yaml", "classes.yaml")
Pack = Callable[..., Path]


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that `pack_bundle` takes besides the folder to write."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "bundles" / "tasks").mkdir(parents=True)
    for name in (*AUTHORED, *(f"tasks/{kind}" for kind in KINDS)):
        shutil.copyfile(BUNDLES / name, folder / "bundles" / name)
    (folder / "LICENSE").write_text("Apache License, Version 2.0\n")
    torch.save(make_weights(), folder / "model.pt")
    return {
        "network_config": {"_target_": "monai_kd.networks.EfficientNetStudent"},
        "checkpoint": folder / "model.pt",
        "window": [32, 32, 32],
        "divisor": 32,
        **write_facts(folder),
        "sources": folder / "bundles",
    }


def make_weights() -> dict[str, torch.Tensor]:
    """Random weights that find each region in about half of the voxels."""
    torch.manual_seed(0)
    weights = EfficientNetStudent().state_dict()
    return {k: torch.zeros(3) if v.shape == (3,) else v for k, v in weights.items()}


@pytest.fixture
def pack(parts: dict[str, Any], tmp_path: Path) -> Pack:
    return partial(pack_bundle, tmp_path / "student", **parts)


@pytest.fixture(scope="session")
def bundle(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_bundle(
        tmp_path_factory.mktemp("packed") / "brats_mri_efficientnet_student", **parts
    )
