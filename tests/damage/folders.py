"""What downloading, copying and renaming do to a folder of cases."""

import shutil

from data_prep.brats.sequences import SEQUENCES
from data_prep.rules import Rule
from tests.damage.corruption import SEG, CaseFiles, Corruption
from tests.damage.nifti_files import unpack


def _lose_modality(case: CaseFiles) -> None:
    case["t2"].unlink()


def _misspell(case: CaseFiles) -> None:
    case["t2"].rename(case["tw2"])


def _give_twice(case: CaseFiles) -> None:
    case["t2"].with_suffix("").write_bytes(unpack(case["t2"].read_bytes()))


def _lose_images(case: CaseFiles) -> None:
    for modality in SEQUENCES:
        case[modality].unlink()


def _lose_label(case: CaseFiles) -> None:
    case[SEG].unlink()


def _collide(case: CaseFiles) -> None:
    """The same name below the other grade."""
    grade = "LGG" if case.folder.parent.name == "HGG" else "HGG"
    shutil.copytree(case.folder, case.folder.parent.with_name(grade) / case.folder.name)


def _duplicate(case: CaseFiles) -> None:
    """The same scans under the name of another patient."""
    copy = CaseFiles(case.folder.with_name("BraTS19_PHANTOM_999_1"))
    copy.folder.mkdir()
    for kind in (*SEQUENCES, SEG):
        shutil.copyfile(case[kind], copy[kind])


WAYS = (
    Corruption("missing-modality", "t2 is missing", Rule.MISSING_MODALITY, _lose_modality),
    Corruption("misspelt", "t2 is named tw2", Rule.MISSING_MODALITY, _misspell),
    Corruption("given-twice", "t2 as .nii and as .nii.gz", Rule.GIVEN_TWICE, _give_twice),
    Corruption("colliding-names", "one name in HGG and LGG", Rule.CASE_TWICE, _collide),
    Corruption("label-alone", "label without images", Rule.LABEL_ALONE, _lose_images),
    Corruption("no-label", "images without a label", Rule.NO_LABEL, _lose_label),
    Corruption("duplicate-case", "one patient under two names", Rule.SAME_SCAN, _duplicate),
)
