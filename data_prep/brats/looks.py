"""How sequences, regions and parts of a tumour are called and drawn for people, and coded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from data_prep.brats.labels import part_of_tumour
from data_prep.brats.sequences import is_known_study

Code = tuple[str, str, str]  # value, scheme, meaning

# Of sequences and regions, in the order in which a reader looks at them.
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "t1ce": "T1ce",
        "t1c": "T1c",
        "flair": "FLAIR",
        "t2": "T2",
        "t1": "T1",
        "WT": "whole tumour",
        "TC": "tumour core",
        "ET": "enhancing tumour",
    }
)
ABNORMAL: Code = ("49755003", "SCT", "Morphologically Altered Structure")
ORGAN: Code = ("12738006", "SCT", "Brain")


@dataclass(frozen=True)
class Look:
    """How a part of a tumour is coded in DICOM, and its colour there and on a page."""

    code: Code | None
    rgb: tuple[int, int, int]
    ink: str


_LOOKS: Mapping[str, Look] = MappingProxyType(  # codes of DICOM PS3.16 CID 7159
    {
        "necrosis": Look(("6574001", "SCT", "Necrosis"), (255, 0, 0), "#56b4e9"),
        "core": Look(("C81175", "NCIt", "Non-Enhancing Lesion"), (255, 0, 0), "#56b4e9"),
        "oedema": Look(("79654002", "SCT", "Edema"), (0, 255, 0), "#f0e442"),
        "enhancing": Look(("C113842", "NCIt", "Enhancing Lesion"), (255, 255, 0), "#d55e00"),
        "cavity": Look(None, (0, 0, 255), "#cc79a7"),
    }
)


def describe_study(channels: Iterable[str], regions: Iterable[str]) -> dict[str, Any]:
    """Say what is known of scans of these channels, for a bundle's metadata; else nothing.

    >>> describe_study(["MRI"], ["Anterior"])
    {}
    """
    channels, names = list(channels), list(regions)
    if not is_known_study(channels):
        return {}
    titles = {name: TITLES[name] for name in (*channels, *names) if name in TITLES}
    return {
        "name": "BraTS MRI",
        "modality": "MR",
        "organ": "Brain",
        "subject": "brain tumours",
        "input": "skull-stripped and co-registered MRI",
        "titles": titles,
    }


def choose_look(label: str) -> Look | None:
    """The look of the part that a label names; None if it names nothing of a tumour."""
    part = part_of_tumour(label)
    return _LOOKS.get("necrosis" if part == "core" and "necro" in label.lower() else part or "")
