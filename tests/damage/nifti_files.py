"""NIfTI files taken apart and put together byte by byte, so that they can be made wrong."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy.typing as npt

from data_prep.scans import read_scan

Voxels = npt.NDArray[Any]


def edit_voxels(path: Path, edit: Callable[[Voxels], Voxels]) -> None:
    """Replace the voxels by those that `edit` makes of them; the header follows shape and type."""
    scan = read_scan(path)
    voxels = edit(scan.voxels.copy())
    scan.header.set_data_shape(voxels.shape)
    scan.header.set_data_dtype(voxels.dtype)
    write_nifti(path, scan.header, voxels)


def edit_header(path: Path, edit: Callable[[nibabel.Nifti1Header], None]) -> None:
    """Change the header only."""
    scan = read_scan(path)
    edit(scan.header)
    write_nifti(path, scan.header, scan.voxels)


def move(
    header: nibabel.Nifti1Header, *, scale: tuple[float, ...] = (1, 1, 1), shift_mm: float = 0
) -> None:
    """Say in both forms that voxels are larger along their axes, and all shifted to the right."""
    affine = header.get_sform()
    affine[:3, :3] *= scale
    affine[0, 3] += shift_mm
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)


def write_nifti(path: Path, header: nibabel.Nifti1Header, voxels: Voxels) -> None:
    """Write a header and voxels that need not agree."""
    block = header.binaryblock
    path.write_bytes(pack(block + bytes(4) + voxels.tobytes(order="F")))


def pack(content: bytes) -> bytes:
    """Compress without name or time."""
    return gzip.compress(content, 1, mtime=0)


def unpack(content: bytes) -> bytes:
    """Take the compression off."""
    return gzip.decompress(content)
