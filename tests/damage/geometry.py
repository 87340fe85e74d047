"""What export and conversion do to shape and position."""

import nibabel
import numpy as np

from data_prep.rules import Rule
from tests.damage.corruption import (
    EVERY,
    CaseFiles,
    Corruption,
    on_header,
    on_position,
    on_voxels,
)
from tests.damage.nifti_files import Voxels, edit_header, edit_voxels, move

SHIFT_MM = 10.0


def _lose_position(header: nibabel.Nifti1Header) -> None:
    header["sform_code"] = header["qform_code"] = 0


def _lose_voxel_size(header: nibabel.Nifti1Header) -> None:
    _lose_position(header)
    header["pixdim"][1:4] = 0


def _break_affine(header: nibabel.Nifti1Header) -> None:
    header["srow_y"] = np.nan


def _flatten(header: nibabel.Nifti1Header) -> None:
    header["srow_z"] = 0


def _shear(header: nibabel.Nifti1Header) -> None:
    header["srow_x"][1] = 0.3
    header["qform_code"] = 0


def _mirror_qform(header: nibabel.Nifti1Header) -> None:
    header.set_qform(np.diag([-1.0, 1, 1, 1]) @ header.get_qform(), code=1)


def _shift_qform(header: nibabel.Nifti1Header) -> None:
    shifted = header.get_qform()
    shifted[0, 3] += SHIFT_MM
    header.set_qform(shifted, code=1)


def _negate_pixdim(header: nibabel.Nifti1Header) -> None:
    header["pixdim"][1] *= -1


def _cut_out(voxels: Voxels) -> Voxels:
    low = [side // 2 - 2 for side in voxels.shape]
    return voxels[low[0] : low[0] + 5, low[1] : low[1] + 5, low[2] : low[2] + 5]


def _drop_every_other_slice(case: CaseFiles) -> None:
    edit_voxels(case["t2"], lambda voxels: voxels[:, :, ::2])
    edit_header(case["t2"], lambda header: move(header, scale=(1, 1, 2)))


WAYS = (
    Corruption(
        "single-slice",
        "2D slice",
        Rule.NOT_3D,
        on_voxels(lambda voxels: voxels[:, :, voxels.shape[2] // 2], "t2"),
    ),
    Corruption(
        "two-volumes",
        "4D file of two volumes",
        Rule.NOT_3D,
        on_voxels(lambda voxels: np.stack([voxels, voxels + 1], axis=-1), "t2"),
    ),
    Corruption("nan-affine", "affine of NaN", Rule.BAD_AFFINE, on_header(_break_affine, "t2")),
    Corruption("singular-affine", "singular affine", Rule.BAD_AFFINE, on_header(_flatten, "t2")),
    Corruption(
        "no-voxel-size",
        "zero pixdim, no sform, no qform",
        Rule.NO_VOXEL_SIZE,
        on_header(_lose_voxel_size, "t2"),
    ),
    Corruption(
        "no-orientation",
        "neither sform nor qform",
        Rule.NO_ORIENTATION,
        on_header(_lose_position, *EVERY),
    ),
    Corruption("sheared", "sheared affine", Rule.SHEARED, on_header(_shear, *EVERY)),
    Corruption(
        "sides-swapped",
        "sform and qform swap left and right",
        Rule.SIDES_SWAPPED,
        on_header(_mirror_qform, "t2"),
    ),
    Corruption(
        "forms-differ",
        "sform and qform 10 mm apart",
        Rule.FORMS_DIFFER,
        on_header(_shift_qform, "t2"),
    ),
    Corruption(
        "negative-pixdim",
        "negative pixdim",
        Rule.NEGATIVE_PIXDIM,
        on_header(_negate_pixdim, "t2"),
    ),
    Corruption(
        "thick-slices",
        "slices of 5 mm",
        Rule.THICK_SLICES,
        on_position(*EVERY, scale=(1, 1, 5)),
    ),
    Corruption(
        "micrometres",
        "voxel size in micrometres",
        Rule.ODD_SPACING,
        on_position(*EVERY, scale=(1000, 1000, 1000)),
    ),
    Corruption("tiny-crop", "crop of 5^3 voxels", Rule.TINY_FIELD, on_voxels(_cut_out, *EVERY)),
    Corruption(
        "other-shape",
        "three rows cut off one modality",
        Rule.SHAPES_DIFFER,
        on_voxels(lambda voxels: voxels[:-3], "t2"),
    ),
    Corruption(
        "shifted",
        "one modality 10 mm away",
        Rule.GRIDS_DIFFER,
        on_position("t2", shift_mm=SHIFT_MM),
    ),
    Corruption(
        "far-away",
        "one modality 1 m away",
        Rule.GRIDS_DIFFER,
        on_position("t2", shift_mm=1000),
    ),
    Corruption(
        "own-spacing",
        "one modality of 2 mm slices",
        Rule.OWN_SPACING,
        _drop_every_other_slice,
    ),
)
