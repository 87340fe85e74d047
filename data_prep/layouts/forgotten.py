"""Folders beside those of cases in which no case was found: nobody must believe them done."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from data_prep.case import Dataset
from data_prep.dicom.files import holds_dicom, printable
from data_prep.errors import DatasetError
from data_prep.findings import Finding
from data_prep.layouts.parts import list_volumes
from data_prep.rules import Rule


def find_forgotten(dataset: Dataset, known: Collection[str]) -> Iterator[Finding]:
    """Say of each folder beside those of the cases, `known` apart, why it gave none.

    Only where a folder is called after its case; one that holds other things than scans is left
    alone.
    """
    used = {file.parent: case.name for case in dataset.cases for file in case.files}
    named = {folder for folder, name in used.items() if folder.name == name}
    for place in sorted({folder.parent for folder in named - {dataset.root}}):
        for folder in sorted(path for path in place.iterdir() if path.is_dir()):
            seen = folder.name in known or folder.name.startswith(".")
            if not seen and not any(path.is_relative_to(folder) for path in used):
                yield from _why_none(folder)


def _why_none(folder: Path) -> Iterator[Finding]:
    name, rule = printable(folder.name), Rule.MISSING_MODALITY
    try:
        entries = os.listdir(folder)
    except OSError as error:
        yield Finding(Rule.UNREADABLE, name, "", f"{error.strerror}: its folder")
        return
    volumes = list_volumes(folder)
    if volumes:
        detail = "no name in its folder names a sequence"
        yield Finding(rule, name, volumes[0].as_posix(), detail)
    elif looks_like_dicom(folder):
        yield Finding(Rule.IS_DICOM, name, "", "a folder of DICOM beside folders of NIfTI")
    elif not entries:
        yield Finding(rule, name, "", "its folder is empty")


def looks_like_dicom(folder: Path) -> bool:
    """Tell whether a folder that may hold anything holds DICOM."""
    try:
        return holds_dicom(folder)
    except DatasetError:  # too many files to be one patient's
        return False
