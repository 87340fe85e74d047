"""Teachers and students: any input channels in, one logits tensor of the input's size out."""

from monai_kd.networks.efficientnet_student import EfficientNetStudent
from monai_kd.networks.hybrid_teacher import HybridTeacher

__all__ = ["EfficientNetStudent", "HybridTeacher"]
