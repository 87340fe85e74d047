"""What the student owes to labels of exclusive classes."""

from monai.losses import DiceLoss
from monai.networks.utils import one_hot
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.means import average_levels
from monai_kd.distillation.pooling import average_to
from monai_kd.distillation.reading import (
    is_labelled,
    read_classes,
    read_zero,
    select_windows,
    widen,
)
from monai_kd.distillation.term import Term
from monai_kd.networks import list_levels
from monai_kd.outputs import DistillationOutput


class SupervisedClassTerm(Term):
    """`Dice + CE` of the student against exclusive classes, `CE` alone in classification.

    Softmax over channels. Dice is the mean over classes, background among them, each pooled over
    the batch, so that a window without a class does not turn it into noise.

    With deep supervision it is the mean over levels, finest first, with weights 1, 1/2, 1/4, ...
    The label of a coarser voxel is the share of each class in it, as in `SupervisedRegionTerm`.
    Windows without a label, -1 where the truth is unknown, are skipped.
    """

    needs_teacher = False

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        self.dice = DiceLoss(softmax=True, batch=True, soft_label=True)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is `(B, 1, D, H, W)` or `(B,)` of indices, -1 where unknown."""
        labelled = is_labelled(label)
        if not bool(labelled.any()):
            return read_zero(output)
        output, label = select_windows(output, label, keep=labelled)
        logits = widen(output.student.logits)
        classes = read_classes(label, logits)
        if logits.ndim == 2:
            return functional.cross_entropy(logits, classes)
        shares = one_hot(classes.unsqueeze(1), logits.shape[1], dtype=logits.dtype)
        return average_levels(
            [self._compare(widen(level), shares) for level in list_levels(output.student)]
        )

    def _compare(self, logits: Tensor, shares: Tensor) -> Tensor:
        shares = average_to(shares, logits.shape[2:])
        dice: Tensor = self.dice(logits, shares)
        return dice + functional.cross_entropy(logits, shares)
