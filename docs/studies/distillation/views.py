"""Views and whole cases in memory, the same for every arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, ToTensord
from torch import Tensor, nn

from data_prep import voxelise_cases, write_datalist
from data_prep.datalist import Split
from data_prep.phantom import write_phantoms
from monai_kd.data import (
    LabelToRegionsd,
    LoadVoxelsd,
    RandLoadWindowsd,
    ViewDataset,
    read_datalist,
    read_dataset,
    read_task,
)
from monai_kd.outputs import NetworkOutput

KEYS = ["image", "label"]
WINDOW = 32
BATCH = 8  # of the teacher


@dataclass(frozen=True)
class Task:
    """Phantoms, how many of them are trained on, and one in how many of these is labelled."""

    cases: int = 200
    size: int = 40
    difficulty: float = 3.0
    views: int = 8
    training_cases: int = 120
    one_labelled_in: int = 1


@dataclass(frozen=True)
class View:
    """One window `(C, D, H, W)` with its regions, -1 where the case is not labelled."""

    image: Tensor
    label: Tensor
    labelled: bool


def make_cases(folder: Path, task: Task) -> Path:
    """Make and voxelise the phantoms; return their data list: a quarter to test, five folds."""
    name = f"phantoms-{task.cases}x{task.size}-{task.difficulty:g}"
    split = Split(test_fraction=0.25, folds=5)
    made = {"cases": task.cases, "size": task.size, "difficulty": task.difficulty}
    return list_phantoms(folder, name=name, split=split, **made)


def list_phantoms(folder: Path, *, name: str, split: Split, **made: Any) -> Path:
    """Make and voxelise phantoms below `folder`; return their data list."""
    phantoms = write_phantoms(folder / name, workers=1, **made)
    voxels = voxelise_cases(phantoms, voxels_root=folder, workers=1)
    return write_datalist(voxels, output_file=voxels / "dataset.json", split=split)


def to_regions(dataset_file: Path) -> LabelToRegionsd:
    """Labels to the regions of the task."""
    return LabelToRegionsd("label", regions=read_task(read_dataset(dataset_file)["task"]).outputs)


def open_views(dataset_file: Path, task: Task, *, views: int) -> ViewDataset:
    """Training windows under the light augmentation of the bundle; hidden labels are not read."""
    augmentation = ConfigParser.load_config_file("bundles/augmentation.yaml")["light"]
    transform = Compose(
        [
            RandLoadWindowsd(KEYS, spatial_size=[WINDOW] * 3, allow_missing_keys=True),
            to_regions(dataset_file),
            *ConfigParser({"light": augmentation}).get_parsed_content("light"),
            ToTensord(KEYS, track_meta=False),
        ]
    )
    records = read_datalist(dataset_file, part="training")[: task.training_cases]
    for number, record in enumerate(records):
        if number % task.one_labelled_in:
            del record["label"]
    return ViewDataset(records, transform, seed=1, views=views)


def load_views(dataset_file: Path, task: Task) -> list[View]:
    """All stored views, case by case."""
    dataset = open_views(dataset_file, task, views=task.views)
    return [
        View(window["image"], window["label"], labelled="label" in record)
        for index, record in enumerate(dataset.data)
        for view in range(task.views)
        for window in dataset.replay(index, view)
    ]


def load_cases(dataset_file: Path, part: Any) -> list[tuple[Tensor, Tensor]]:
    """Whole cases: image and regions."""
    transform = Compose(
        [
            LoadVoxelsd(KEYS),
            to_regions(dataset_file),
            ToTensord(KEYS, track_meta=False),
        ]
    )
    loaded = (transform(record) for record in read_datalist(dataset_file, part=part))
    return [(case["image"], case["label"]) for case in loaded]


@torch.no_grad()
def remember(teacher: nn.Module, views: Sequence[View]) -> list[NetworkOutput]:
    """What the teacher says of every view, logits and tapped features."""
    said: list[NetworkOutput] = []
    teacher.eval()
    for start in range(0, len(views), BATCH):
        images = torch.stack([view.image for view in views[start : start + BATCH]])
        output = teacher(images.contiguous(memory_format=torch.channels_last_3d))
        said += [
            NetworkOutput(
                output.logits[i].clone(),
                {name: feature[i].clone() for name, feature in output.features.items()},
            )
            for i in range(len(images))
        ]
    return said
