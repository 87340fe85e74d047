"""What a run reads: a person's own scans or phantoms made on the spot, voxelised once."""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.checks.report import error_lines
from data_prep.errors import DatasetError, check_folder
from data_prep.findings import WHOLE_DATASET
from data_prep.layouts import find_dataset
from data_prep.phantom import write_phantoms
from data_prep.voxels import voxelise


def find_or_make_cases(
    dataset_dir: str | os.PathLike[str] | None,
    *,
    phantoms_root: str | os.PathLike[str],
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
    cases_dir: str | os.PathLike[str],
    *,
    voxels_root: str | os.PathLike[str],
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
