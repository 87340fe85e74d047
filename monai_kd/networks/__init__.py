"""Teachers and students: any input channels in, logits out; and wrappers around any network."""

from monai_kd.networks.conv_teacher import ConvTeacher
from monai_kd.networks.efficientnet_student import EfficientNetStudent
from monai_kd.networks.ensemble_teacher import EnsembleTeacher
from monai_kd.networks.hybrid_teacher import HybridTeacher
from monai_kd.networks.msgff import MultiScaleFusion
from monai_kd.networks.network_answer import list_levels, to_network_output
from monai_kd.networks.plain_fusion import PlainFusion
from monai_kd.networks.probe_network import probe_network
from monai_kd.networks.tapped_network import TappedNetwork

__all__ = [
    "ConvTeacher",
    "EfficientNetStudent",
    "EnsembleTeacher",
    "HybridTeacher",
    "MultiScaleFusion",
    "PlainFusion",
    "TappedNetwork",
    "list_levels",
    "probe_network",
    "to_network_output",
]
