"""BraTS as downloaded (for now: 2017 to 2021)."""

import re
from pathlib import Path

from data_prep.case import GRADES, MODALITIES, UNKNOWN, Case, Dataset, ImageFile
from data_prep.schemes import BRATS2021


def find_brats(root: Path) -> Dataset:
    """List the cases below `root`."""
    folders = sorted({path.parent for path in root.rglob("*_t1ce.nii*")}, key=lambda p: p.name)
    return Dataset(
        root=root,
        layout="BraTS 2017-2021",
        modalities=MODALITIES,
        mapping={m: f"*_{m}.nii.gz" for m in (*MODALITIES, "seg")},
        scheme=BRATS2021,
        cases=tuple(_read_case(folder) for folder in folders),
    )


def _read_case(folder: Path) -> Case:
    images = {m: ImageFile(next(folder.glob(f"*_{m}.nii*"))) for m in MODALITIES}
    grade = folder.parent.name if folder.parent.name in GRADES else UNKNOWN
    label = next(folder.glob("*_seg.nii*"), None)
    return Case(folder.name, re.sub(r"_\d{1,2}$", "", folder.name), grade, images, label)
