"""Which scans are segmented."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def list_cases(datalist: Sequence[Any]) -> list[dict[str, list[str]]]:
    """Return one `{"image": [paths]}` per case.

    A case is one path (a 4D file), a list of paths (one 3D file per channel), or a mapping whose
    `image` is either of them.
    """
    return [{"image": _paths_of(case)} for case in datalist]


def check_cases(cases: Sequence[Any]) -> None:
    """Stop before any work where there is no case, or a file of one is missing."""
    if not cases:
        raise ValueError("the datalist is empty; give --image FILE, or --datalist with one case")
    missing = [path for case in cases for path in _paths_of(case) if not Path(path).is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"no such file: {missing[0]}{more}; give --dataset_dir with one file per channel, "
            "each named as in this configuration, or --image with one file of all channels"
        )


def _paths_of(case: Any) -> list[str]:
    image = case["image"] if isinstance(case, Mapping) else case
    return [str(image)] if isinstance(image, str | Path) else [str(path) for path in image]
