"""One way to spoil a case, and the files that it works on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel

from data_prep.brats.sequences import SEQUENCES
from data_prep.rules import Rule
from tests.damage.nifti_files import Voxels, edit_header, edit_voxels, move

SEG = "seg"
EVERY = (*SEQUENCES, SEG)
Way = Callable[["CaseFiles"], None]


@dataclass(frozen=True)
class CaseFiles:
    """The folder of one case in the layout of BraTS 2019."""

    folder: Path

    def __getitem__(self, kind: str) -> Path:
        return self.folder / f"{self.folder.name}_{kind}.nii.gz"


@dataclass(frozen=True)
class Corruption:
    """A fault by name, and the rule that must tell of it; an oddity is no fault and has no rule."""

    name: str
    title: str
    rule: Rule | None
    apply: Way


def on_voxels(edit: Callable[[Voxels], Voxels], *kinds: str) -> Way:
    """Make a way that edits the voxels of some files of a case."""

    def apply(case: CaseFiles) -> None:
        for kind in kinds:
            edit_voxels(case[kind], edit)

    return apply


def on_header(edit: Callable[[nibabel.Nifti1Header], None], *kinds: str) -> Way:
    """Make a way that edits the header of some files of a case."""

    def apply(case: CaseFiles) -> None:
        for kind in kinds:
            edit_header(case[kind], edit)

    return apply


def on_position(*kinds: str, scale: tuple[float, ...] = (1, 1, 1), shift_mm: float = 0) -> Way:
    """Make a way that tells of another position and voxel size than the true ones."""
    return on_header(lambda header: move(header, scale=scale, shift_mm=shift_mm), *kinds)


def on_bytes(edit: Callable[[bytes], bytes], *kinds: str) -> Way:
    """Make a way that edits the bytes of some files of a case, compressed as they are."""

    def apply(case: CaseFiles) -> None:
        for kind in kinds:
            case[kind].write_bytes(edit(case[kind].read_bytes()))

    return apply
