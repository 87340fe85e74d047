"""Turns what a person downloads into what training reads: checked, voxelised, listed. Once."""

from data_prep.datalist import Split, write_datalist
from data_prep.errors import DatasetError
from data_prep.locating import prepare_voxels, voxelise_cases
from data_prep.phantom import write_phantoms

__all__ = [
    "DatasetError",
    "Split",
    "prepare_voxels",
    "voxelise_cases",
    "write_datalist",
    "write_phantoms",
]
