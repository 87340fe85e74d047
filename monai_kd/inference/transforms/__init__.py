"""One case in, one segmentation out, in the case's own space.

Each module here is vendored into shared bundles, so it imports torch, monai and numpy only.
"""

from monai_kd.inference.transforms.cases import check_cases, list_cases
from monai_kd.inference.transforms.check_image import CheckImaged
from monai_kd.inference.transforms.normalize_foreground import NormalizeForegroundd, is_foreground
from monai_kd.inference.transforms.outputs_to_label import ClassesToLabeld, RegionsToLabeld
from monai_kd.inference.transforms.resample_to_spacing import ResampleToSpacingd
from monai_kd.inference.transforms.result_name import ResultName

__all__ = [
    "CheckImaged",
    "ClassesToLabeld",
    "NormalizeForegroundd",
    "RegionsToLabeld",
    "ResampleToSpacingd",
    "ResultName",
    "check_cases",
    "is_foreground",
    "list_cases",
]
