"""The BraTS 2019 layout: where the cases of a folder lie and what each must hold."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from data_prep.errors import DatasetError, check_folder

MODALITIES = ("t1ce", "t1", "t2", "flair")
GRADES = ("HGG", "LGG")
LABELS: Mapping[int, str] = MappingProxyType(
    {0: "background", 1: "necrotic core", 2: "oedema", 4: "enhancing tumour"}
)
REGIONS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"TC": (1, 4), "WT": (1, 2, 4), "ET": (4,)}
)
_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Case:
    """One scan of one patient: its files, all in one folder."""

    name: str
    grade: str
    images: tuple[Path, ...]
    label: Path

    @property
    def patient(self) -> str:
        """The name without its visit number, which has one or two digits: `X_001_2` is `X_001`."""
        return re.sub(r"_\d{1,2}$", "", self.name)

    @property
    def files(self) -> tuple[Path, ...]:
        """Images in the order of `MODALITIES`, then the label."""
        return (*self.images, self.label)


def find_cases(cases_dir: Path) -> list[Case]:
    """Find all cases below `cases_dir`, in order of name; each has four modalities and a label."""
    check_folder(cases_dir)
    graded = [cases_dir / grade for grade in GRADES if (cases_dir / grade).is_dir()]
    folders = [folder for parent in graded or [cases_dir] for folder in _case_folders(parent)]
    if not folders:
        raise DatasetError(_nothing_found(cases_dir))
    return sorted((_read_case(folder) for folder in folders), key=lambda case: case.name)


def _case_folders(parent: Path) -> list[Path]:
    visible = (entry for entry in parent.iterdir() if not entry.name.startswith("."))
    return [entry for entry in visible if entry.is_dir() and _volumes(entry)]


def _volumes(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.name.endswith(_ENDINGS))


def _nothing_found(cases_dir: Path) -> str:
    inner = [entry for entry in cases_dir.iterdir() if any((entry / g).is_dir() for g in GRADES)]
    hint = f"; did you mean {inner[0]}?" if inner else ""
    return f"no cases in {cases_dir}, expected HGG/<case>/<case>_t1ce.nii.gz or <case>/...{hint}"


def _read_case(folder: Path) -> Case:
    grade = folder.parent.name if folder.parent.name in GRADES else "unknown"
    volumes = _volumes(folder)
    images = tuple(_pick(folder, volumes, modality) for modality in MODALITIES)
    return Case(folder.name, grade, images, _pick(folder, volumes, "seg"))


def _pick(folder: Path, volumes: Iterable[Path], kind: str) -> Path:
    for volume in volumes:
        if _stem(volume).endswith(f"_{kind}"):
            return volume
    wanted = "the label (seg)" if kind == "seg" else f"the modality {kind}"
    hint = _similar_file(volumes, f"{folder.name}_{kind}")
    raise DatasetError(f"case {folder.name} lacks {wanted}: no {folder.name}_{kind}.nii.gz{hint}")


def _similar_file(volumes: Iterable[Path], wanted: str) -> str:
    known = tuple(f"_{kind}" for kind in (*MODALITIES, "seg"))
    strangers = {_stem(v): v.name for v in volumes if not _stem(v).endswith(known)}
    nearest = get_close_matches(wanted, strangers, n=1)
    return f"; rename {strangers[nearest[0]]}?" if nearest else ""


def _stem(volume: Path) -> str:
    return volume.name.removesuffix(".gz").removesuffix(".nii")
