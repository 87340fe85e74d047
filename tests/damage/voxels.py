"""What processing does to the voxels of images and labels."""

import shutil

import nibabel
import numpy as np

from data_prep.rules import Rule
from tests.damage.corruption import (
    SEG,
    CaseFiles,
    Corruption,
    Way,
    on_header,
    on_position,
    on_voxels,
)
from tests.damage.nifti_files import Voxels

COLOUR = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


def _set_one(value: float, dtype: str) -> Way:
    """Make a way that gives the brightest voxel another value."""

    def edit(voxels: Voxels) -> Voxels:
        changed = voxels.astype(dtype)
        changed[np.unravel_index(voxels.argmax(), voxels.shape)] = value
        return changed

    return on_voxels(edit, "t2")


def _set_slope(value: float) -> Way:
    def edit(header: nibabel.Nifti1Header) -> None:
        header["scl_slope"] = value

    return on_header(edit, "t2")


def _colour(voxels: Voxels) -> Voxels:
    coloured = np.zeros(voxels.shape, COLOUR)
    coloured["R"] = voxels % 256
    return coloured


def _leave_skull_on(voxels: Voxels) -> Voxels:
    noise = 20 + np.arange(voxels.size).reshape(voxels.shape) % 23
    return np.where(voxels == 0, noise, voxels).astype(voxels.dtype)


def _swap(one: str, other: str) -> Way:
    def apply(case: CaseFiles) -> None:
        aside = case.folder / ".aside"
        case[one].rename(aside)
        case[other].rename(case[one])
        aside.rename(case[other])

    return apply


def _copy(source: str, target: str) -> Way:
    def apply(case: CaseFiles) -> None:
        shutil.copyfile(case[source], case[target])

    return apply


def _recode(values: dict[int, int]) -> Way:
    """Make a way that gives some label values another number."""

    def edit(voxels: Voxels) -> Voxels:
        changed = voxels.copy()
        for old, new in values.items():
            changed[voxels == old] = new
        return changed

    return on_voxels(edit, SEG)


def _add_stray_value(voxels: Voxels) -> Voxels:
    voxels[tuple(np.argwhere(voxels)[:3].T)] = 7
    return voxels


def _mark_corner(voxels: Voxels) -> Voxels:
    marked = np.zeros_like(voxels)
    marked[:3, :3, :3] = 2
    return marked


IMAGE_WAYS = (
    Corruption("nan", "one NaN voxel", Rule.NAN, _set_one(np.nan, "f4")),
    Corruption("infinite", "one infinite voxel", Rule.INFINITE, _set_one(np.inf, "f4")),
    Corruption("all-zero", "all voxels zero", Rule.ALL_ZERO, on_voxels(np.zeros_like, "t2")),
    Corruption(
        "constant",
        "all voxels equal",
        Rule.CONSTANT,
        on_voxels(lambda voxels: np.full_like(voxels, 100), "t2"),
    ),
    Corruption("same-modality", "one file given twice", Rule.SAME_MODALITY, _copy("t1", "t2")),
    Corruption(
        "complex", "complex voxels", Rule.COMPLEX, on_voxels(lambda v: v.astype("c8"), "t2")
    ),
    Corruption("colour", "colour picture", Rule.COLOUR, on_voxels(_colour, "t2")),
    Corruption("nan-slope", "scl_slope NaN", Rule.BAD_SCALING, _set_slope(np.nan)),
    Corruption("infinite-slope", "scl_slope infinite", Rule.BAD_SCALING, _set_slope(np.inf)),
    Corruption("swapped", "t1ce and flair swapped", Rule.SWAPPED, _swap("t1ce", "flair")),
    Corruption("outlier", "one voxel of 10^6", Rule.OUTLIERS, _set_one(1e6, "i4")),
    Corruption("mask-as-image", "label in place of a modality", Rule.FEW_VALUES, _copy(SEG, "t2")),
    Corruption("skull-on", "skull not removed", Rule.SKULL_ON, on_voxels(_leave_skull_on, "t2")),
)
LABEL_WAYS = (
    Corruption("stray-value", "label value 7", Rule.STRAY_VALUE, on_voxels(_add_stray_value, SEG)),
    Corruption("et-as-3", "enhancing coded 3, not 4", Rule.OTHER_SCHEME, _recode({4: 3})),
    Corruption("cavity", "resection cavity coded 4", Rule.OTHER_SCHEME, _recode({4: 3, 1: 4})),
    Corruption(
        "float-label",
        "label stored as floats",
        Rule.FLOAT_LABEL,
        on_voxels(lambda voxels: voxels.astype("f4"), SEG),
    ),
    Corruption(
        "smoothed-label",
        "label resampled linearly",
        Rule.FRACTIONAL,
        on_voxels(lambda v: ((v + np.roll(v, 1, axis=0)) / 2).astype("f4"), SEG),
    ),
    Corruption("negative-label", "label value -2", Rule.NEGATIVE_LABEL, _recode({2: -2})),
    Corruption("empty-label", "empty label", Rule.EMPTY_LABEL, on_voxels(np.zeros_like, SEG)),
    Corruption("shifted-label", "label 5 mm away", Rule.LABEL_GRID, on_position(SEG, shift_mm=5)),
    Corruption(
        "cut-label",
        "label of another shape",
        Rule.LABEL_GRID,
        on_voxels(lambda voxels: voxels[:-2], SEG),
    ),
    Corruption(
        "label-outside",
        "label of another head",
        Rule.LABEL_OUTSIDE,
        on_voxels(_mark_corner, SEG),
    ),
    Corruption("image-as-label", "image in place of the label", Rule.NOT_A_LABEL, _copy("t1", SEG)),
)
WAYS = (*IMAGE_WAYS, *LABEL_WAYS)
