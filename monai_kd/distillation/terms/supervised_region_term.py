"""What the student owes to the labels."""

from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.means import average_levels
from monai_kd.distillation.pooling import average_to
from monai_kd.distillation.reading import read_truth, read_zero, select_windows, widen
from monai_kd.distillation.term import Term
from monai_kd.networks import list_levels
from monai_kd.outputs import DistillationOutput


class SupervisedRegionTerm(Term):
    """`Dice + BCE` of the student against overlapping regions, labels `(B, R, D, H, W)` of 0 and 1.

    Dice is pooled over the batch, so that a window without foreground does not turn it into noise.

    With deep supervision it is the mean over levels, finest first, with weights 1, 1/2, 1/4, ...
    The label of a coarser voxel is the region's share of it, and Dice is least there. The nearest
    voxel, which MONAI's `DeepSupervisionLoss` takes, would lose a rim of one voxel or double it.
    Windows without a label, -1 where the truth is unknown, are skipped.
    """

    needs_teacher = False

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        self.dice = DiceLoss(sigmoid=True, batch=True, soft_label=True)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Dice loss plus the mean binary cross-entropy."""
        _, labelled = read_truth(label, output.student.logits)
        if not bool(labelled.any()):
            return read_zero(output)
        output, label = select_windows(output, label, keep=labelled.flatten())
        return average_levels(
            [self._compare(level, label) for level in list_levels(output.student)]
        )

    def _compare(self, logits: Tensor, label: Tensor) -> Tensor:
        logits = widen(logits)
        label = average_to(label.to(logits), logits.shape[2:])  # BCE counts in the label's type
        dice: Tensor = self.dice(logits, label)
        return dice + functional.binary_cross_entropy_with_logits(logits, label)
