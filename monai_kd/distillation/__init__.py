"""The distiller runs teacher and student on the same view; terms compare what they say."""

from monai_kd.distillation.distillation_loss import DistillationLoss
from monai_kd.distillation.distiller import Distiller
from monai_kd.distillation.terms import BalancedSoftLabelTerm, SupervisedRegionTerm

__all__ = ["BalancedSoftLabelTerm", "DistillationLoss", "Distiller", "SupervisedRegionTerm"]
