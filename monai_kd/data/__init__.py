"""Reads prepared cases, and holds the few transforms that MONAI lacks."""

from monai_kd.data.datalist import (
    DatalistError,
    check_fit,
    count_cases,
    read_datalist,
    read_regions,
)
from monai_kd.data.label_to_regions import LabelToRegionsd
from monai_kd.data.modality_dropout import RandModalityDropoutd
from monai_kd.data.voxels import LoadVoxelsd
from monai_kd.data.windows import RandLoadWindowsd

__all__ = [
    "DatalistError",
    "LabelToRegionsd",
    "LoadVoxelsd",
    "RandLoadWindowsd",
    "RandModalityDropoutd",
    "check_fit",
    "count_cases",
    "read_datalist",
    "read_regions",
]
