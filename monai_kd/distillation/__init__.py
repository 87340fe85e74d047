"""The distiller runs teacher and student on the same view; terms compare what they say."""

from monai_kd.distillation.distillation_loss import DistillationLoss, ramp_up_and_down
from monai_kd.distillation.distiller import Distiller
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.term import Term
from monai_kd.distillation.weighing import RunningMeanWeighing

__all__ = [
    "DistillationLoss",
    "Distiller",
    "ReliabilityGate",
    "RunningMeanWeighing",
    "Term",
    "ramp_up_and_down",
]
