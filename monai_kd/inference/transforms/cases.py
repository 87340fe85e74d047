"""Which scans are segmented, and the folder below which their results keep apart."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def list_cases(datalist: Sequence[Any]) -> list[dict[str, list[str]]]:
    """Return one `{"image": [paths]}` per case; stop before any work where a file is missing.

    A case is one path (a 4D file), a list of paths (one 3D file per channel), or a mapping whose
    `image` is either of them.
    """
    cases = [{"image": _paths_of(case)} for case in datalist]
    if not cases:
        raise ValueError("the datalist is empty; give --image FILE, or --datalist with one case")
    missing = [path for case in cases for path in case["image"] if not Path(path).is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"no such file: {missing[0]}{more}; give --dataset_dir with one file per channel, "
            "each named as in this configuration, or --image with one file of all channels"
        )
    return cases


def common_folder(cases: Sequence[Mapping[str, Sequence[str]]]) -> str:
    """Return the deepest folder that holds the first file of every case.

    Results repeat the folders below it, so `P1/scan.nii.gz` and `P2/scan.nii.gz` never share a
    name, and nothing is written outside of the output folder.
    """
    return os.path.commonpath([Path(case["image"][0]).absolute().parent for case in cases])


def _paths_of(case: Any) -> list[str]:
    image = case["image"] if isinstance(case, Mapping) else case
    return [str(image)] if isinstance(image, str | Path) else [str(path) for path in image]
