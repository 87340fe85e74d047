"""One case in, one segmentation out, in the case's own space.

Each module here is vendored into shared bundles, so it imports torch, monai and numpy only.
"""

from monai_kd.inference.transforms.cases import common_folder, list_cases
from monai_kd.inference.transforms.check_image import CheckImaged
from monai_kd.inference.transforms.device import choose_device
from monai_kd.inference.transforms.normalize_brain import NormalizeBraind, is_brain
from monai_kd.inference.transforms.regions_to_label import RegionsToLabeld
from monai_kd.inference.transforms.resample_to_spacing import ResampleToSpacingd

__all__ = [
    "CheckImaged",
    "NormalizeBraind",
    "RegionsToLabeld",
    "ResampleToSpacingd",
    "choose_device",
    "common_folder",
    "is_brain",
    "list_cases",
]
