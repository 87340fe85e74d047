"""Reads what `data_prep` has voxelised: whole cases, or only the block that is asked for."""

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import blosc2
import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

FORMAT = 1  # of data_prep.voxels
Block = tuple[slice, ...]


class LoadVoxelsd(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Read voxelised cases: an image (C X Y Z) normalised to float32, a label (1 X Y Z) as it is.

    The axes run to the right, the front and the top of the head (RAS).
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with a MetaTensor in the place of each path."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = read_block(case[key])
        return case


def read_block(path: str | os.PathLike[str], block: Sequence[slice] | None = None) -> MetaTensor:
    """Read the voxels of `block` (three slices), by default all, with the affine of what was read.

    Only the chunks that the block touches are decompressed.
    """
    array = open_voxels(path)
    described = array.schunk.vlmeta["voxels"]
    inside = tuple(block or (slice(0, size) for size in array.shape[-3:]))
    try:
        stored = array[(..., *inside)]
    except RuntimeError as error:
        raise ValueError(f"{path} is damaged ({error}): voxelise again") from error
    voxels = normalise(stored, described) if described["kind"] == "image" else stored[None]
    affine = np.array(described["affine"], dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in inside]
    meta = {"filename_or_obj": str(path), "case": described["case"]}
    return MetaTensor(torch.from_numpy(voxels), affine=torch.from_numpy(affine), meta=meta)


def open_voxels(path: str | os.PathLike[str]) -> Any:
    """Open a voxel file without reading it; stop where it was written for another version."""
    try:
        array = blosc2.open(str(path), mode="r", mmap_mode="r")
        found = array.schunk.vlmeta["voxels"]["format"]
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is no file of voxels ({error}): voxelise again") from error
    if found != FORMAT:
        raise ValueError(f"{path} has voxel format {found}, expected {FORMAT}: voxelise again")
    return array


def normalise(stored: npt.NDArray[Any], described: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """`(clip(v, low, high) - mean) / std` of each modality's voxels but 0, which stay 0."""
    rules = [described["normalisation"][modality] for modality in described["modalities"]]
    low, high, mean, std = (
        np.array([rule[name] for rule in rules], np.float32).reshape(-1, 1, 1, 1)
        for name in ("low", "high", "mean", "std")
    )
    voxels = stored.astype(np.float32)
    brain = voxels != 0
    np.clip(voxels, low, high, out=voxels)
    voxels -= mean
    voxels /= std
    voxels *= brain
    return voxels
