"""A folder to a dataset: the layout that fits it, and what the names of its files say."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.brats.labels import choose_scheme
from data_prep.case import Dataset
from data_prep.errors import DatasetError, check_folder
from data_prep.layouts.bids import read_bids
from data_prep.layouts.brats import read_brats
from data_prep.layouts.forgotten import looks_like_dicom
from data_prep.layouts.parts import Reading, list_volumes, make_dataset
from data_prep.layouts.tasks import read_task

_KNOWN = (
    "BraTS (<case>/<case>_t1ce.nii.gz or <case>-t1c.nii.gz, also below HGG/ and LGG/), decathlon "
    "or nnU-Net (imagesTr/ and dataset.json), BIDS (sub-<id>/anat/sub-<id>_T1w.nii.gz)"
)
_MOST_HINTS = 3


def find_dataset(
    root: str | os.PathLike[str],
    *,
    labels: str | None = None,
    order: Sequence[str] | None = None,
    partial: bool = False,
) -> Dataset:
    """Recognise the layout of `root` and list its cases, from the names of files alone.

    `labels` names the scheme of the labels where the layout does not tell it or tells it wrongly.
    `order` names the modalities of files or channels that are only numbered. With `partial`, a case
    that lacks some of its modalities is among the cases, besides being among the findings.
    """
    folder = Path(root)
    check_folder(folder)
    volumes = list_volumes(folder)
    reading = _read(folder, volumes, order)
    if reading is None:
        raise DatasetError(_not_recognised(folder, volumes))
    if labels is not None:
        reading = replace(reading, scheme=choose_scheme(labels))
    return make_dataset(folder, reading, partial=partial)


def _read(root: Path, volumes: Sequence[Path], order: Sequence[str] | None) -> Reading | None:
    task = read_task(root, volumes, order)
    reading = task or read_bids(root, volumes) or read_brats(root, volumes)
    if order and reading and not task:
        raise DatasetError(
            f"{root} is {reading.layout}, whose files are named by modality: expected no order"
        )
    return reading


def _not_recognised(root: Path, volumes: Sequence[Path]) -> str:
    seen = f"{len(volumes)} such as {volumes[0]}" if volumes else "none"
    meant = [str(folder) for folder in _recognised_below(root)]
    hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
    if not volumes and looks_like_dicom(root):
        hint += "; it holds DICOM: convert it, as with dcm2niix (predict reads it as it is)"
    return f"no dataset in {root}, its .nii and .nii.gz files are {seen}; expected {_KNOWN}{hint}"


def _recognised_below(root: Path) -> list[Path]:
    """The first few datasets, of those that lie nearest."""
    for pattern in ("*", "*/*"):
        folders = (path for path in sorted(root.glob(pattern)) if not path.name.startswith("."))
        found = [path for path in folders if path.is_dir() and _is_recognised(path)]
        if found:
            return found[:_MOST_HINTS]
    return []


def _is_recognised(folder: Path) -> bool:
    try:
        return _read(folder, list_volumes(folder), None) is not None
    except DatasetError:  # it has a layout, but something to mend
        return True
