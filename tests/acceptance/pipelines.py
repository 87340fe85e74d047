"""Two ways to segment a folder of scans, each in a process that may hang, swell or fail."""

import json
import multiprocessing
import os
import resource
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import torch
from monai.bundle import run

from data_prep.brats.sequences import SEQUENCES
from monai_kd import cli
from monai_kd.inference.student import Student

SECONDS = 60  # a sound case takes less than one
MEMORY_GB = 12
HANGS = -9
EDGE = 48  # of the phantoms and so of the one window
Images = Sequence[Sequence[Path]]


@dataclass(frozen=True)
class Ran:
    """How a process ended, the lines that it wrote to standard error, and its folder of results."""

    code: int
    faults: tuple[str, ...]
    out: Path

    def mask(self, name: str) -> npt.NDArray[Any] | None:
        """The mask of that name."""
        path = self.out / f"{name}_seg.nii.gz"
        return np.asanyarray(nibabel.load(path).dataobj) if path.exists() else None


def predict(student: Student, cases: Path, out: Path, *options: str) -> Ran:
    """Segment a folder of cases by `monai-kd predict`."""
    words = ["predict", str(cases), "-o", str(out), "--bundle", str(student.folder)]
    return _run_apart(lambda: cli.main([*words, "--no-report", "--threads", "1", *options]), out)


def run_zoo(student: Student, images: Images, out: Path, **override: Any) -> Ran:
    """Segment a list of cases by `python -m monai.bundle run` as a user of the model zoo does."""
    file = out.with_name(f"{out.name}.json")
    file.write_text(json.dumps(_zoo_config(student, images, out) | override))

    def segment() -> int:
        run(config_file=str(file))
        return 0

    return _run_apart(segment, out)


def list_images(root: Path) -> list[list[Path]]:
    """The files of each case as a person would list them, there or not."""
    folders = sorted({path.parent for path in root.rglob("*.nii*")})
    return [[_find_image(folder, name) for name in SEQUENCES] for folder in folders]


def _find_image(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"*{name}.nii*"))
    return found[-1] if found else folder / f"{folder.name}_{name}.nii.gz"


def _zoo_config(student: Student, images: Images, out: Path) -> dict[str, Any]:
    """The steps of the zoo's brats_mri_segmentation, with our network and weights."""
    normalise = {"_target_": "NormalizeIntensityd", "keys": "image"}
    save = {"_target_": "SaveImaged", "keys": "pred", "output_dir": str(out), "resample": False}
    before = [
        {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
        {**normalise, "nonzero": True, "channel_wise": True},
    ]
    after = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
        {**save, "separate_folder": False, "output_dtype": "uint8", "output_postfix": "seg"},
    ]
    return {
        "network": {**student.network, "_target_": "monai_kd.networks.EfficientNetStudent"},
        "checkpoint": str(student.checkpoint),
        "data": [{"image": [str(path) for path in case]} for case in images],
        "preprocessing": {"_target_": "Compose", "transforms": before},
        "dataset": {"_target_": "Dataset", "data": "@data", "transform": "@preprocessing"},
        "loader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [EDGE] * 3, "overlap": 0.5},
        "postprocessing": {"_target_": "Compose", "transforms": after},
        "weights": {
            "_target_": "CheckpointLoader",
            "load_path": "@checkpoint",
            "load_dict": {"model": "@network"},
            "map_location": "cpu",
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "cpu",
            "val_data_loader": "@loader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": ["@weights"],
        },
        "run": ["$@evaluator.run()"],
    }


def _run_apart(work: Callable[[], int], out: Path) -> Ran:
    errors = out.with_name(f"{out.name}.err")
    process = multiprocessing.get_context("fork").Process(target=_run, args=(work, errors))
    process.start()
    process.join(SECONDS)
    hangs = process.is_alive()
    process.kill()
    process.join()
    lines = tuple(errors.read_text(errors="replace").splitlines())
    return Ran(HANGS if hangs or process.exitcode is None else process.exitcode, lines, out)


def _run(work: Callable[[], int], errors: Path) -> None:
    """Do the work as a process of its own would, its words kept apart."""
    limit = MEMORY_GB * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    torch.set_num_threads(1)
    code = 1
    try:
        code = work()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def clear(*folders: Path) -> None:
    """Remove what a run has left, be it a folder, a file or nothing."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.is_file():
            folder.unlink()
