"""What is wrong with a dataset, in one line that a person can act on."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any


class DatasetError(ValueError):
    """A dataset that cannot be used as it stands; the message is one line."""


def load_extra(name: str, *, extra: str = "dicom", needed_by: str = "DICOM") -> Any:
    """Import a package that comes with an extra."""
    try:
        return import_module(name)
    except ImportError as error:
        message = f"{needed_by} needs {name}: pip install 'monai_kd[{extra}]'"
        raise DatasetError(message) from error


def check_folder(folder: Path) -> None:
    """Stop unless `folder` exists, naming the sibling whose name comes nearest."""
    if folder.is_dir():
        return
    if folder.exists():
        raise DatasetError(f"{folder} is a file, expected a folder of cases")
    raise DatasetError(f"no folder {folder}{_nearest_sibling(folder)}")


def _nearest_sibling(folder: Path) -> str:
    parent = folder.absolute().parent
    if not parent.is_dir():
        return f" ({parent} does not exist either)"
    siblings = [entry.name for entry in parent.iterdir() if entry.is_dir()]
    nearest = get_close_matches(folder.name, siblings, n=1)
    return f"; did you mean {folder.with_name(nearest[0])}?" if nearest else ""
