"""A case made up in a moment: a head, a tumour in three parts, its record."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np

SEQUENCES = ("t1", "t1ce", "t2", "flair")
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])  # as BraTS stores: to the left, to the back, up


class CaseFiles(NamedTuple):
    """What the page of a case is made from."""

    record: Path
    images: dict[str, Path]
    label: Path


def write_case(
    folder: Path, *, side: int = 48, shape: tuple[int, int, int] | None = None, **changes: Any
) -> CaseFiles:
    """Write scans, label and record; `changes` replace keys of the record."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = shape or (side, side, side)
    away = _distances(shape)
    random = np.random.default_rng(0)
    images = {}
    for name in SEQUENCES:
        voxels = np.where(away < 0.9, random.normal(400, 90, shape).clip(1), 0).astype(np.int16)
        images[name] = _save(voxels, folder / f"{name}.nii.gz")
    rings = [(away < 0.5, 2), (away < 0.35, 4), (away < 0.2, 1)]
    voxels = np.zeros(shape, np.uint8)
    for inside, value in rings:
        voxels[inside] = value
    label = _save(voxels, folder / "seg.nii.gz")
    _save((255 * (away < 0.6)).astype(np.uint8), folder / "doubt.nii.gz")
    record = folder / "case.json"
    record.write_text(json.dumps(make_record(images, voxels) | changes), encoding="utf-8")
    return CaseFiles(record, images, label)


def make_record(images: dict[str, Path], label: Any) -> dict[str, Any]:
    """Return a record as `monai-kd predict` writes it."""
    centre = (AFFINE @ [*(np.array(label.shape) / 2), 1])[:3].tolist()
    lesion = {"region": "WT", "centre_mm": centre, "volume_ml": 8.0, "confidence": 0.93}
    box = {"box_voxels": [[12, 36]] * 3, "box_mm": [[-36, -12], [-36, -12], [12, 36]]}
    return {
        "format": 1,
        "case": "patient-42",
        "verdict": "CHECK",
        "reasons": [
            {"code": "W209", "severity": "warning", "file": "flair.nii.gz", "text": "thick slices"}
        ],
        "sequences": {
            name: {
                "file": path.name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "shape": list(label.shape),
                "spacing_mm": [1.0, 1.0, 1.0],
                "channel": None,
            }
            for name, path in images.items()
        },
        "missing": [],
        "labels": {
            "scheme": "brats2021",
            "values": {"1": "necrotic core", "2": "oedema", "4": "enhancing tumour"},
        },
        "volumes_ml": {
            "WT": {"value": 84.1, "low": 80.2, "high": 88.0},
            "ET": {"value": 12.4, "low": None, "high": None},
        },
        "agreement": {"WT": 0.96, "ET": None},
        "lesions": [lesion | box],
        "grid": {"shape": list(label.shape), "affine": AFFINE.tolist()},
        "provenance": {
            "tool": "monai_kd 0.1.0",
            "bundle": {"name": "student", "version": "0.1.0", "sha256": "9f" * 32},
            "runtime": "openvino 2026.4",
            "device": "CPU",
            "threads": 2,
            "window": [160, 192, 144],
            "utc": "2026-01-01T12:00:00Z",
            "seconds": {"read": 0.1},
            "peak_memory_mib": 700,
        },
        "notice": "Research use only; not a medical device.",
    }


def _distances(shape: tuple[int, int, int]) -> Any:
    """From the middle, 1 being the edge along each axis."""
    axes = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij", sparse=True)
    return np.sqrt(sum(axis**2 for axis in axes))


def _save(voxels: Any, path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), path)
    return path
