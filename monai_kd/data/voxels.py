"""Reads what `data_prep` has voxelised: whole cases, or only the block that is asked for."""

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from data_prep.scans.normalisation import Normalisation, normalise
from data_prep.scans.store import read_array

Block = tuple[slice, ...]


class LoadVoxelsd(MapTransform):  # type: ignore[misc]  # MONAI is untyped to us
    """Read voxelised cases: an image (C X Y Z) normalised to float32, a label (1 X Y Z) as it is.

    The axes run to the right, the front and the top of the patient (RAS).
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with a MetaTensor in the place of each path."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[key] = read_block(case[key])
        return case


def read_block(path: str | os.PathLike[str], block: Sequence[slice] = ()) -> MetaTensor:
    """Read the voxels of `block` (three slices), by default all, with the affine of what was read.

    Only the chunks that the block touches are decompressed.
    """
    stored, described = read_array(path, block)
    voxels = _normalise(stored, described) if described["kind"] == "image" else stored[None]
    affine = np.array(described["affine"], dtype=np.float64)
    if block:
        affine[:3, 3] += affine[:3, :3] @ [part.start for part in block]
    meta = {"filename_or_obj": str(path), "case": described["case"]}
    return MetaTensor(torch.from_numpy(voxels), affine=torch.from_numpy(affine), meta=meta)


def _normalise(stored: npt.NDArray[Any], described: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    voxels = np.empty(stored.shape, np.float32)
    for values, name, target in zip(stored, described["modalities"], voxels, strict=True):
        normalise(values, Normalisation(**described["normalisation"][name]), target)
    return voxels
