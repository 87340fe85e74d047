"""The layouts in which phantoms are written: names, label values and what lies beside the scans.

A scan is written once and read by name ever after, so each layout here is one that people download
and `data_prep.layouts` reads back to the same voxels.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from data_prep.brats.labels import (
    BRATS2021,
    BRATS2023,
    BRATS2024,
    MSD,
    part_of_tumour,
    translate_labels,
)
from data_prep.brats.sequences import NAMES_2017, NAMES_2023, NAMES_BIDS, NAMES_DECATHLON, SEQUENCES
from data_prep.errors import DatasetError
from data_prep.phantom.case import PhantomCase
from data_prep.schemes import LabelScheme

SEG = "seg"
CAVITY_RADIUS = 0.08  # as a share of the shortest side
_BIDS = {kind: name.replace("<agent>", "gadolinium") for kind, name in NAMES_BIDS.items()}
_NNUNET_CHANNELS = {"t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}

Files = Mapping[str, tuple[str, ...]]


def _no_extras(cases: Sequence[PhantomCase], ending: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class PhantomLayout:
    """How to write a case.

    `files` gives each file of a case, without ending, and the volumes stacked in it; `extras` the
    text files of the whole dataset, from all cases and the ending of the scans.
    """

    scheme: LabelScheme
    files: Callable[[PhantomCase], Files]
    extras: Callable[[Sequence[PhantomCase], str], Mapping[str, str]] = _no_extras


def choose_layout(name: str) -> PhantomLayout:
    """Return the layout of that name, one of LAYOUTS."""
    if name not in _LAYOUTS:
        raise DatasetError(f"no layout {name!r} of phantoms, expected one of {', '.join(LAYOUTS)}")
    return _LAYOUTS[name]


def convert_label(
    volumes: Mapping[str, npt.NDArray[np.int16]], scheme: LabelScheme
) -> npt.NDArray[np.int16]:
    """Give the label, drawn in the values of BraTS 2019, the values of `scheme`.

    Where the scheme knows a resection cavity, one is carved beside the tumour.
    """
    values = {0: 0} | translate_labels(BRATS2021, scheme)
    table = np.zeros(max(values) + 1, dtype=np.int16)
    table[list(values)] = list(values.values())
    label = table[volumes[SEG]]
    for value, name in scheme.labels.items():
        if part_of_tumour(name) == "cavity":
            label[_cavity(volumes)] = value
    return label


def _cavity(volumes: Mapping[str, npt.NDArray[np.int16]]) -> npt.NDArray[np.bool_]:
    """A ball round the top of the tumour, less the tumour: TC, WT and ET stay as they are.

    Where nothing is labelled, nothing was resected.
    """
    tumour = volumes[SEG] > 0
    if not tumour.any():
        return tumour
    top = np.argwhere(tumour)[np.argmax(np.argwhere(tumour)[:, 2])]
    apart = np.ones_like(tumour)
    apart[tuple(top)] = False
    near = ndimage.distance_transform_edt(apart) <= max(2, CAVITY_RADIUS * min(tumour.shape))
    cavity: npt.NDArray[np.bool_] = near & ~tumour & (volumes["t1"] > 0)
    return cavity


def _in_folder(
    case: PhantomCase, *, named: str, endings: Mapping[str, str], separator: str
) -> Files:
    folder = named.format(case=case, number=90001 + case.number)
    start = f"{folder}/{folder.rpartition('/')[2]}{separator}"
    return {f"{start}{ending}": (kind,) for kind, ending in {**endings, SEG: SEG}.items()}


def _numbered(case: PhantomCase) -> str:
    return f"BRATS_{case.number + 1:03d}"


def _msd(case: PhantomCase) -> Files:
    name = _numbered(case)
    return {f"imagesTr/{name}": tuple(NAMES_DECATHLON), f"labelsTr/{name}": (SEG,)}


def _msd_extras(cases: Sequence[PhantomCase], ending: str) -> Mapping[str, str]:
    files = [_numbered(case) + ending for case in cases]
    labels = {0: "background", 1: "edema", 2: "non-enhancing tumor", 3: "enhancing tumour"}
    return _dataset_json(
        name="Phantoms",
        tensorImageSize="4D",
        modality={str(number): name for number, name in enumerate(NAMES_DECATHLON.values())},
        labels={str(value): name for value, name in labels.items()},
        numTraining=len(files),
        numTest=0,
        training=[{"image": f"./imagesTr/{f}", "label": f"./labelsTr/{f}"} for f in files],
        test=[],
    )


def _nnunet(case: PhantomCase) -> Files:
    name = _numbered(case)
    images = {f"imagesTr/{name}_{n:04d}": (kind,) for n, kind in enumerate(_NNUNET_CHANNELS)}
    return images | {f"labelsTr/{name}": (SEG,)}


def _nnunet_extras(cases: Sequence[PhantomCase], ending: str) -> Mapping[str, str]:
    return _dataset_json(
        channel_names={str(n): name for n, name in enumerate(_NNUNET_CHANNELS.values())},
        labels={"background": 0} | {name: value for value, name in BRATS2023.labels.items()},
        numTraining=len(cases),
        file_ending=ending,
    )


def _bids(case: PhantomCase) -> Files:
    subject, visit = f"sub-PHANTOM{case.number + 1:03d}", "ses-1"
    folder, name = f"{subject}/{visit}/anat", f"{subject}_{visit}"
    images = {f"{folder}/{name}_{_BIDS[kind]}": (kind,) for kind in SEQUENCES}
    return images | {f"derivatives/expert/{folder}/{name}_dseg": (SEG,)}


def _bids_extras(cases: Sequence[PhantomCase], ending: str) -> Mapping[str, str]:
    rows = "".join(f"{value}\t{name}\n" for value, name in BRATS2023.labels.items())
    about = {"Name": "Phantoms", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    return {
        "dataset_description.json": _as_json(about),
        "derivatives/expert/dataset_description.json": _as_json(
            about | {"DatasetType": "derivative", "GeneratedBy": [{"Name": "data_prep.phantom"}]}
        ),
        "derivatives/expert/dseg.tsv": "index\tname\n0\tbackground\n" + rows,
    }


def _dataset_json(**content: object) -> Mapping[str, str]:
    return {"dataset.json": _as_json(content)}


def _as_json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2) + "\n"


_EARLY = partial(_in_folder, endings=dict(NAMES_2017), separator="_")
_LATER = partial(_in_folder, endings=dict(NAMES_2023), separator="-")
_LAYOUTS: Mapping[str, PhantomLayout] = MappingProxyType(
    {
        "brats2019": PhantomLayout(BRATS2021, partial(_EARLY, named="{case.grade}/{case.name}")),
        "brats2019-flat": PhantomLayout(BRATS2021, partial(_EARLY, named="{case.name}")),
        "brats2023": PhantomLayout(BRATS2023, partial(_LATER, named="BraTS-GLI-{number}-000")),
        "brats2024": PhantomLayout(BRATS2024, partial(_LATER, named="BraTS-GLI-{number}-100")),
        "msd": PhantomLayout(MSD, _msd, _msd_extras),
        "nnunet": PhantomLayout(BRATS2023, _nnunet, _nnunet_extras),
        "bids": PhantomLayout(BRATS2023, _bids, _bids_extras),
    }
)
LAYOUTS = tuple(_LAYOUTS)
