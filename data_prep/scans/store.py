"""Voxels on disk: one blosc2 array per file, of which any window can be read without the rest.

ZSTD over shuffled bytes, in blocks of 32^3, makes a brain smaller than its `.nii.gz`, and a window
of 96^3 touches a few blocks only. The same array gives the same bytes, whatever wrote it.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt

from data_prep.errors import DatasetError
from data_prep.files import write_bytes

FORMAT = 1  # raise it when an older reader would misread a file
CHUNK, BLOCK = 64, 32  # voxels per side: what is compressed together, what is decompressed at once
METADATA = "voxels"
_HOLD = (np.uint8, np.int16, np.uint16, np.int32)


def write_array(
    path: Path,
    array: npt.NDArray[Any],
    *,
    metadata: Mapping[str, Any],
    tables: Mapping[str, Any] | None = None,
) -> str:
    """Write `array` (x y z or C x y z), whole or not at all; return the sha256 of the file.

    `metadata` (JSON-like) is what a reader needs at once, `tables` what it may never ask for.
    """
    stored = blosc2.asarray(
        np.ascontiguousarray(array),
        chunks=_sides(array.shape, CHUNK),
        blocks=_sides(array.shape, BLOCK),
        cparams={
            "codec": blosc2.Codec.ZSTD,
            "clevel": 2,  # level 5 takes five times as long for 3 per cent
            "filters": [blosc2.Filter.SHUFFLE],
            "nthreads": 1,  # several threads store the chunks in the order in which they finish
        },
    )
    stored.schunk.vlmeta[METADATA] = {"format": FORMAT, **metadata}
    for name, table in (tables or {}).items():
        stored.schunk.vlmeta[name] = table
    content = stored.to_cframe()
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def read_array(
    path: str | os.PathLike[str], block: Sequence[slice] = ()
) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """Return the voxels of a block (its three slices), by default all, and the metadata.

    Only the chunks that the block touches are decompressed.
    """
    stored = open_array(path)
    try:
        return stored[(..., *block)], dict(stored.schunk.vlmeta[METADATA])
    except RuntimeError as error:
        raise DatasetError(f"{path} is damaged ({error}): voxelise again") from error


def read_metadata(path: Path, table: str = METADATA) -> dict[str, Any]:
    """Return the metadata, or one of the tables that were written beside it, without voxels."""
    stored = open_array(path)
    return dict(stored.schunk.vlmeta[table])


def open_array(path: str | os.PathLike[str]) -> Any:  # blosc2 has no types
    """Open `path` without reading its voxels; slices of what is returned are arrays."""
    try:
        stored = blosc2.open(str(path), mode="r", mmap_mode="r")
        found = stored.schunk.vlmeta[METADATA]["format"]
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path} is no file of voxels ({error}): voxelise again") from error
    if found != FORMAT:
        raise DatasetError(f"{path} has voxel format {found}, expected {FORMAT}: voxelise again")
    return stored


def stored_key(path: Path) -> str | None:
    """Return the key of what lies at `path`; None if it is absent or cannot be used."""
    try:
        return str(read_metadata(path)["key"])
    except (DatasetError, KeyError):
        return None


def as_smallest(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return whole numbers in the smallest integers that hold them exactly, others as float32.

    >>> as_smallest(np.array([0.0, 300.0])).dtype, as_smallest(np.array([0.5])).dtype
    (dtype('int16'), dtype('float32'))
    """
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if array.dtype.kind not in "iub" and not np.array_equal(array, np.rint(array)):
        return array.astype(np.float32, copy=False)
    for dtype in _HOLD:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype, copy=False)
    return array.astype(np.float32)


def _sides(shape: Sequence[int], side: int) -> tuple[int, ...]:
    return (*(1 for _ in shape[:-3]), *(min(side, length) for length in shape[-3:]))
