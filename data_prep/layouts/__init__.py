"""Which of the known layouts a folder has, and which cases lie in it."""

from pathlib import Path

from data_prep.case import Dataset
from data_prep.errors import check_folder
from data_prep.layouts.brats import find_brats

__all__ = ["find_dataset"]


def find_dataset(root: Path, *, labels: str | None = None) -> Dataset:
    """Recognise the layout of `root` and list its cases."""
    check_folder(root)
    return find_brats(root)
