"""What a run reads: a person's own scans or phantoms made on the spot, voxelised once."""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.checks.report import error_lines
from data_prep.errors import DatasetError, check_folder
from data_prep.findings import WHOLE_DATASET
from data_prep.layouts import find_dataset
from data_prep.phantom import write_phantoms
from data_prep.voxels import verify_voxels, voxelise

StrPath = str | os.PathLike[str]


def prepare_voxels(
    *,
    voxels_dir: StrPath | None,
    dataset_dir: StrPath | None,
    root: StrPath,
    phantoms: Mapping[str, int],
    labels: str | None = None,
    order: Sequence[str] | None = None,
) -> Path:
    """Return `voxels_dir` where one is given, else the voxels of `dataset_dir`, made below `root`.

    Without either, phantoms are made there first, by the arguments of `write_phantoms`.
    """
    if voxels_dir is not None:
        check_folder(Path(voxels_dir))
        verify_voxels(Path(voxels_dir))
        return Path(voxels_dir)
    cases_dir = find_or_make_cases(dataset_dir, phantoms_root=root, **phantoms)
    return voxelise_cases(cases_dir, voxels_root=root, labels=labels, order=order)


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
    workers: int | None = None,
) -> Path:
    """Check and voxelise the cases of a folder below `voxels_root`; return where they are.

    Cases that fail the check are named on stderr and left out; it stops where none is left.
    """
    source = Path(cases_dir).resolve()
    place = hashlib.sha256(str(source).encode()).hexdigest()[:8]
    folder = Path(voxels_root) / f"voxels-{source.name}-{place}"
    dataset = find_dataset(source, labels=labels, order=order)
    report = voxelise(dataset, folder, workers=workers)
    lines = error_lines(report)
    if report.exit_code == 2:
        raise DatasetError(": ".join([f"no case in {source} can be used", *lines[:1]]))
    warnings = (f for f in report.findings if f.case == WHOLE_DATASET)
    sys.stderr.writelines(f"{line}\n" for line in [*lines, *map(str, warnings)])
    return folder
