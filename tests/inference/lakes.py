"""A student of another task: one channel, exclusive classes; and small scans for it."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from data_prep.schemes import declare_classes
from tests.inference.bundled import pack_random
from tests.made_up_run import describe_dataset

CHANNEL, CLASSES = "MRI", {"background": 0, "Anterior": 2, "Posterior": 5}
SHAPE = (35, 51, 36)
DEFINITION: dict[str, Any] = {
    "in_channels": 1,
    "out_channels": 3,
    "stages": [[8, 0, 1, "early"], [8, 1, 2, "early"]],
}


def make_bundle(folder: Path, *, edge: int = 48) -> Path:
    """The bundle of a student of two classes."""
    scheme = declare_classes({value: name for name, value in CLASSES.items() if value})
    dataset = describe_dataset((CHANNEL,), scheme)
    return pack_random(folder, DEFINITION, window=[edge] * 3, dataset=dataset)


def write_scan(path: Path, seed: int = 0, affine: np.ndarray | None = None) -> Path:
    """Two soft blobs on noise that is nowhere 0, as a crop of a larger scan has it."""
    random = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    scan = random.normal(200, 10, SHAPE)
    for middle in ((15, 15, 18), (20, 35, 18)):
        scan += 300 * np.exp(-((index - middle) ** 2).sum(axis=-1) / 60)
    path.parent.mkdir(parents=True, exist_ok=True)
    matrix = np.eye(4) if affine is None else affine
    nibabel.save(nibabel.Nifti1Image(scan.astype(np.float32), matrix), path)
    return path


def write_decathlon(folder: Path, *, labels: int = 0) -> Path:
    """A task of the decathlon: two images to train on, one to test, and labels if asked for."""
    names = [f"lake_{number:03d}.nii.gz" for number in range(1, max(labels, 2) + 1)]
    for number, name in enumerate(names):
        write_scan(folder / "imagesTr" / name, number)
    write_scan(folder / "imagesTs" / "lake_900.nii.gz", 900)
    training = [{"image": f"./imagesTr/{name}"} for name in names]
    for entry, name in zip(training[:labels], names, strict=False):
        entry["label"] = f"./labelsTr/{name}"
        label = np.zeros(SHAPE, np.uint8)
        label[10:20, 10:20, 12:24], label[15:25, 30:40, 12:24] = 2, 5
        (folder / "labelsTr").mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), folder / "labelsTr" / name)
    content = {
        "modality": {"0": CHANNEL},
        "labels": {str(value): name for name, value in CLASSES.items()},
        "training": training,
        "test": ["./imagesTs/lake_900.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder
