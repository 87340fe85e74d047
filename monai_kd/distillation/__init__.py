"""The distiller runs teacher and student on the same view; terms compare what they say."""

from monai_kd.distillation.distillation_loss import DistillationLoss, ramp_up_and_down
from monai_kd.distillation.distiller import Distiller
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.terms import (
    BalancedSoftLabelTerm,
    BoundaryTerm,
    ChannelwiseTerm,
    SoftOverlapTerm,
    SupervisedRegionTerm,
    UnlabelledTerm,
)
from monai_kd.distillation.weighing import GradientRatioWeighing, RunningMeanWeighing

__all__ = [
    "BalancedSoftLabelTerm",
    "BoundaryTerm",
    "ChannelwiseTerm",
    "DistillationLoss",
    "Distiller",
    "GradientRatioWeighing",
    "ReliabilityGate",
    "RunningMeanWeighing",
    "SoftOverlapTerm",
    "SupervisedRegionTerm",
    "UnlabelledTerm",
    "ramp_up_and_down",
]
