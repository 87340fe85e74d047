"""One case in, one segmentation out, in the case's own space.

Each module here is vendored into shared bundles, so it imports torch, monai and numpy only.
"""

from monai_kd.inference.cases import common_folder, list_cases
from monai_kd.inference.check_image import CheckImaged
from monai_kd.inference.device import choose_device
from monai_kd.inference.normalize_brain import NormalizeBraind, is_brain
from monai_kd.inference.regions_to_label import RegionsToLabeld
from monai_kd.inference.resample_to_spacing import ResampleToSpacingd

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
