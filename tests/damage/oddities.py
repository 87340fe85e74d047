"""Files that are unusual and right: they must pass."""

import nibabel
import numpy as np

from data_prep.scans import read_scan
from tests.damage.corruption import (
    EVERY,
    SEG,
    CaseFiles,
    Corruption,
    on_bytes,
    on_position,
    on_voxels,
)
from tests.damage.nifti_files import pack, unpack, write_nifti


def _turn(case: CaseFiles, orientation: str) -> None:
    """Store the same voxels, at the same places, along other axes."""
    for kind in ("t2", "flair"):
        scan = read_scan(case[kind])
        start = nibabel.orientations.io_orientation(scan.affine)
        end = nibabel.orientations.axcodes2ornt(orientation)
        turn = nibabel.orientations.ornt_transform(start, end)
        voxels = nibabel.orientations.apply_orientation(scan.voxels, turn)
        affine = scan.affine @ nibabel.orientations.inv_ornt_aff(turn, scan.voxels.shape)
        scan.header.set_data_shape(voxels.shape)
        scan.header.set_qform(affine, code=1)
        scan.header.set_sform(affine, code=1)
        write_nifti(case[kind], scan.header, voxels)


def _store_big_endian(case: CaseFiles) -> None:
    scan = read_scan(case["t2"])
    write_nifti(case["t2"], scan.header.as_byteswapped(">"), scan.voxels.astype(">i2"))


def _store_as_nifti2(case: CaseFiles) -> None:
    scan = read_scan(case["t2"])
    header = nibabel.Nifti2Header()
    header.set_data_shape(scan.voxels.shape)
    header.set_data_dtype(scan.voxels.dtype)
    header.set_sform(scan.affine, code=1)
    header["vox_offset"] = 544
    write_nifti(case["t2"], header, scan.voxels)


def _rename(case: CaseFiles) -> None:
    renamed = CaseFiles(case.folder.with_name("Fälle 2019, Müller & Söhne <1>"))
    renamed.folder.mkdir()
    for kind in EVERY:
        case[kind].rename(renamed[kind])
    case.folder.rmdir()


def _decompress(case: CaseFiles) -> None:
    for kind in EVERY:
        case[kind].with_suffix("").write_bytes(unpack(case[kind].read_bytes()))
        case[kind].unlink()


def _split_members(content: bytes) -> bytes:
    whole = unpack(content)
    return b"".join(pack(whole[start : start + 40_000]) for start in range(0, len(whole), 40_000))


WAYS = (
    Corruption("rounded-affine", "affine off by 1e-7", None, on_position("t2", shift_mm=1e-7)),
    Corruption("other-flip", "stored right to left", None, lambda case: _turn(case, "RAS")),
    Corruption("sagittal", "stored by sagittal slices", None, lambda case: _turn(case, "PSR")),
    Corruption("big-endian", "big-endian", None, _store_big_endian),
    Corruption("nifti-2", "NIfTI-2", None, _store_as_nifti2),
    Corruption("odd-name", "spaces and unicode in the name", None, _rename),
    Corruption("uncompressed", "plain .nii", None, _decompress),
    Corruption("many-members", "gzip of many members", None, on_bytes(_split_members, "t2")),
    Corruption(
        "whole-floats", "whole numbers as floats", None, on_voxels(lambda v: v.astype("f4"), "t2")
    ),
    Corruption(
        "fourth-side-of-1", "4D of one volume", None, on_voxels(lambda v: v[..., np.newaxis], "t2")
    ),
    Corruption("byte-label", "label in bytes", None, on_voxels(lambda v: v.astype("u1"), SEG)),
)
