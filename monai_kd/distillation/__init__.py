"""The distiller runs teacher and student on the same view; terms compare what they say."""

from monai_kd.distillation.distillation_loss import DistillationLoss, ramp_up_and_down
from monai_kd.distillation.distiller import Distiller
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.terms import (
    AffinityTerm,
    AttentionTransferTerm,
    BalancedSoftLabelTerm,
    BoundaryTerm,
    ChannelwiseTerm,
    CorrelationTerm,
    CrossAttentionTerm,
    DeepSoftLabelTerm,
    FusionTransferTerm,
    GroupLinearTerm,
    HiddenRegressorTerm,
    HiddenTerm,
    LatentTerm,
    NestedDecoupledTerm,
    SoftLabelTerm,
    SoftOverlapTerm,
    StageHeadsTerm,
    SupervisedClassTerm,
    SupervisedRegionTerm,
    UnlabelledTerm,
)
from monai_kd.distillation.weighing import GradientRatioWeighing, RunningMeanWeighing

__all__ = [
    "AffinityTerm",
    "AttentionTransferTerm",
    "BalancedSoftLabelTerm",
    "BoundaryTerm",
    "ChannelwiseTerm",
    "CorrelationTerm",
    "CrossAttentionTerm",
    "DeepSoftLabelTerm",
    "DistillationLoss",
    "Distiller",
    "FusionTransferTerm",
    "GradientRatioWeighing",
    "GroupLinearTerm",
    "HiddenRegressorTerm",
    "HiddenTerm",
    "LatentTerm",
    "NestedDecoupledTerm",
    "ReliabilityGate",
    "RunningMeanWeighing",
    "SoftLabelTerm",
    "SoftOverlapTerm",
    "StageHeadsTerm",
    "SupervisedClassTerm",
    "SupervisedRegionTerm",
    "UnlabelledTerm",
    "ramp_up_and_down",
]
