"""Which folder of cases a run reads: a person's own, or phantoms made on the spot."""

import os
from pathlib import Path

from data_prep.errors import check_folder
from data_prep.phantom import write_phantoms


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
