"""What the student owes to the labels."""

from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from monai_kd.outputs import DistillationOutput


class SupervisedRegionTerm(nn.Module):
    """`Dice + BCE` of the student against overlapping regions, labels `(B, R, D, H, W)` of 0 and 1.

    Dice is pooled over the batch, so that a window without tumour does not turn it into noise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(sigmoid=True, batch=True)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Dice loss plus the mean binary cross-entropy."""
        logits = output.student.logits
        dice: Tensor = self.dice(logits, label)
        return dice + binary_cross_entropy_with_logits(logits, label)
