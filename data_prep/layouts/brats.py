"""BraTS as downloaded: a folder of files per case, named by modality, in the two namings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.brats.labels import BRATS2021, BRATS2023
from data_prep.brats.sequences import NAMES_2017, NAMES_2023, SEQUENCES
from data_prep.case import GRADES, UNKNOWN, ImageFile
from data_prep.errors import DatasetError
from data_prep.layouts.parts import LABEL, Identity, Part, Reading, ending_of, stem_of
from data_prep.schemes import LabelScheme


@dataclass(frozen=True)
class Naming:
    """How one generation of BraTS names the files of a case; `patient` is what its visits share."""

    layout: str
    separator: str
    roles: Mapping[str, str]
    patient: str
    scheme: LabelScheme


def _roles(names: Mapping[str, str]) -> dict[str, str]:
    return {name: sequence for sequence, name in names.items()} | {"seg": LABEL}


NAMINGS = (
    Naming(
        "BraTS 2017-2021",
        "_",
        _roles(NAMES_2017),
        r"(BraTS1[789]_.+)_\d{1,2}",
        BRATS2021,
    ),
    Naming(
        "BraTS 2023 and later",
        "-",
        _roles(NAMES_2023),
        r"(BraTS-[A-Z]+-\d+)-\d{3}",
        BRATS2023,
    ),
)
_FOLLOW_UP = r"(.+)_FU\d+[a-z]?"  # as in UCSF-PDGM
_PAEDIATRIC = "-PED-"  # 1 means enhancing from 2024, necrotic before: the name does not tell


def read_brats(root: Path, volumes: Sequence[Path]) -> Reading | None:
    """Read cases in `root`, in a folder each, or below HGG and LGG; None if there are none."""
    readings = [_read_naming(root, volumes, naming) for naming in NAMINGS]
    fitting = [r for r in readings if any(part.role != LABEL for part in r.parts)]
    if len(fitting) > 1:
        layouts = " and ".join(reading.layout for reading in fitting)
        raise DatasetError(
            f"{root} mixes cases of {layouts}, whose label values differ; give each its own folder"
        )
    return fitting[0] if fitting else None


def _read_naming(root: Path, volumes: Sequence[Path], naming: Naming) -> Reading:
    grades = _listed_grades(root)
    found = {volume: _read_name(root, volume, naming, grades) for volume in volumes}
    parts = tuple(part for part in found.values() if part is not None)
    ending = ending_of([part.image.path for part in parts])
    ambiguous = any(_PAEDIATRIC in part.identity.name.upper() for part in parts)
    return Reading(
        layout=naming.layout,
        modalities=SEQUENCES,
        patterns={role: f"*{naming.separator}{k}{ending}" for k, role in naming.roles.items()},
        scheme=None if ambiguous else naming.scheme,
        parts=parts,
        strays=tuple(volume for volume, part in found.items() if part is None),
    )


def _read_name(root: Path, volume: Path, naming: Naming, grades: Mapping[str, str]) -> Part | None:
    kinds = "|".join(naming.roles)
    pattern = rf"(?:(?P<case>.+){naming.separator})?(?P<kind>{kinds})"
    match = re.fullmatch(pattern, stem_of(volume), re.IGNORECASE)
    folders = [folder.upper() for folder in volume.parent.parts]
    depth = 2 if folders and folders[0] in GRADES else 1
    if match is None or len(folders) > depth:
        return None
    name = match["case"] or (root / volume).parent.name
    above = (folder for folder in (root.name.upper(), *folders) if folder in GRADES)
    grade = next(above, grades.get(name, UNKNOWN))
    visit = re.fullmatch(f"{naming.patient}|{_FOLLOW_UP}", name, re.IGNORECASE)
    patient = (visit[1] or visit[2]) if visit else name
    identity = Identity(name, volume.parent.as_posix(), patient, grade)
    return Part(identity, naming.roles[match["kind"].lower()], ImageFile(root / volume))


def _listed_grades(root: Path) -> dict[str, str]:
    """BraTS 2020 tells grades in name_mapping.csv, where a row has a patient's names by year."""
    grades: dict[str, str] = {}
    for table in sorted(root.glob("name_mapping*.csv")):
        for line in table.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            names = [name.strip() for name in line.split(",")]
            grade = next((name for name in names if name in GRADES), UNKNOWN)
            grades |= dict.fromkeys(names, grade)
    return grades
