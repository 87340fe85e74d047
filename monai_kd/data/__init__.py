"""Reads prepared cases, and holds the few transforms that MONAI lacks."""

from monai_kd.data.datalist import (
    DatalistError,
    check_task,
    count_cases,
    read_datalist,
    read_dataset,
    read_task,
    read_titles,
    read_training_cases,
)
from monai_kd.data.label_to_classes import LabelToClassesd
from monai_kd.data.label_to_regions import LabelToRegionsd
from monai_kd.data.mixed_batches import MixedBatches
from monai_kd.data.modality_dropout import RandModalityDropoutd
from monai_kd.data.view_bank.banked_views import BankedViews
from monai_kd.data.view_bank.logit_store import ViewBankError
from monai_kd.data.view_bank.view_bank import ViewBank
from monai_kd.data.view_dataset import ViewDataset
from monai_kd.data.voxels import LoadVoxelsd
from monai_kd.data.windows import RandLoadWindowsd

__all__ = [
    "BankedViews",
    "DatalistError",
    "LabelToClassesd",
    "LabelToRegionsd",
    "LoadVoxelsd",
    "MixedBatches",
    "RandLoadWindowsd",
    "RandModalityDropoutd",
    "ViewBank",
    "ViewBankError",
    "ViewDataset",
    "check_task",
    "count_cases",
    "read_datalist",
    "read_dataset",
    "read_task",
    "read_titles",
    "read_training_cases",
]
