"""What a run reads: a person's own scans or phantoms made on the spot, voxelised once."""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.brats.labels import BRATS2021
from data_prep.brats.sequences import SEQUENCES
from data_prep.checks.report import error_lines
from data_prep.datalist import state_task
from data_prep.errors import DatasetError, check_folder
from data_prep.findings import WHOLE_DATASET
from data_prep.layouts import find_dataset
from data_prep.phantom import write_phantoms
from data_prep.voxels import VoxelSettings, read_voxels_json, verify_voxels, voxelise

StrPath = str | os.PathLike[str]
SPACING_MM = VoxelSettings.spacing_mm


def prepare_voxels(
    *,
    voxels_dir: StrPath | None,
    dataset_dir: StrPath | None,
    root: StrPath,
    phantoms: Mapping[str, int],
    labels: str | None = None,
    order: Sequence[str] | None = None,
    spacing_mm: Sequence[float] | None = SPACING_MM,
) -> Path:
    """Return `voxels_dir` where one is given, else the voxels of `dataset_dir`, made below `root`.

    `spacing_mm` is their size, None for that of each scan; voxels that are there already keep
    theirs. Without either folder, phantoms are made there first, by the arguments of
    `write_phantoms`.
    """
    if voxels_dir is not None:
        check_folder(Path(voxels_dir))
        verify_voxels(Path(voxels_dir))
        return Path(voxels_dir)
    cases_dir = find_or_make_cases(dataset_dir, phantoms_root=root, **phantoms)
    return voxelise_cases(
        cases_dir, voxels_root=root, labels=labels, order=order, spacing_mm=spacing_mm
    )


def find_task(
    *,
    voxels_dir: StrPath | None,
    dataset_dir: StrPath | None,
    labels: str | None = None,
    order: Sequence[str] | None = None,
) -> dict[str, Any] | None:
    """State the task of what `prepare_voxels` would read, from names and lists alone."""
    if voxels_dir is not None:
        check_folder(Path(voxels_dir))
        found = read_voxels_json(Path(voxels_dir))
        return state_task(found["modalities"], found["regions"])
    if dataset_dir is None:
        return state_task(SEQUENCES, BRATS2021.regions)
    check_folder(Path(dataset_dir))
    dataset = find_dataset(Path(dataset_dir).resolve(), labels=labels, order=order)
    return state_task(dataset.modalities, dataset.scheme.regions if dataset.scheme else None)


def find_or_make_cases(
    dataset_dir: StrPath | None,
    *,
    phantoms_root: StrPath,
    cases: int,
    size: int,
    seed: int,
) -> Path:
    """Return `dataset_dir` where one is given, else a folder of phantoms below `phantoms_root`."""
    if dataset_dir is None:
        folder = Path(phantoms_root) / f"phantoms-{cases}x{size}-seed{seed}"
        return write_phantoms(folder, cases=cases, size=size, seed=seed)
    check_folder(Path(dataset_dir))
    return Path(dataset_dir)


def voxelise_cases(
    cases_dir: StrPath,
    *,
    voxels_root: StrPath,
    labels: str | None = None,
    order: Sequence[str] | None = None,
    spacing_mm: Sequence[float] | None = SPACING_MM,
    workers: int | None = None,
) -> Path:
    """Check and voxelise the cases of a folder below `voxels_root`; return where they are.

    Cases that fail the check are named on stderr and left out; it stops where none is left.
    """
    source = Path(cases_dir).resolve()
    settings = VoxelSettings(spacing_mm=_triple(spacing_mm))
    other = "" if settings == VoxelSettings() else str(settings.spacing_mm)
    place = hashlib.sha256(f"{source}{other}".encode()).hexdigest()[:8]
    folder = Path(voxels_root) / f"voxels-{source.name}-{place}"
    dataset = find_dataset(source, labels=labels, order=order)
    report = voxelise(dataset, folder, settings=settings, workers=workers)
    lines = error_lines(report)
    if report.exit_code == 2:
        raise DatasetError(": ".join([f"no case in {source} can be used", *lines[:1]]))
    warnings = (f for f in report.findings if f.case == WHOLE_DATASET)
    sys.stderr.writelines(f"{line}\n" for line in [*lines, *map(str, warnings)])
    return folder


def _triple(spacing_mm: Sequence[float] | None) -> tuple[float, float, float] | None:
    if spacing_mm is None:
        return None
    sides = [spacing_mm] * 3 if isinstance(spacing_mm, int | float) else list(spacing_mm)
    if len(sides) != 3 or not all(isinstance(side, int | float) for side in sides):
        raise DatasetError(f"spacing_mm is {spacing_mm!r}, expected three sizes in mm, or null")
    x, y, z = map(float, sides)
    return x, y, z
