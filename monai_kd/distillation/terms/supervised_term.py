"""What the student owes to the labels."""

from monai.losses import DiceLoss
from monai.networks.utils import one_hot
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.reading import (
    is_labelled,
    read_classes,
    read_truth,
    read_zero,
    select_windows,
    widen,
)
from monai_kd.distillation.term import Term
from monai_kd.distillation.voxels import average_levels, average_to
from monai_kd.networks import list_levels
from monai_kd.outputs import DistillationOutput


class SupervisedTerm(Term):
    """`Dice + cross-entropy` of the student against the labels, cross-entropy in classification.

    Regions overlap, each with a sigmoid and binary cross-entropy; exclusive classes, background
    among them, share a softmax over channels. Dice is the mean over regions or classes, each
    pooled over the batch, so that a window without one does not turn it into noise.

    With deep supervision it is the mean over levels, finest first, with weights 1, 1/2, 1/4, ...
    The label of a coarser voxel is the share of each region or class in it, and Dice is least
    there. The nearest voxel, which MONAI's `DeepSupervisionLoss` takes, would lose a rim of one
    voxel or double it. Windows without a label, -1 where the truth is unknown, are skipped.

    Args:
        exclusive: classes exclude one another.
    """

    needs_teacher = False

    def __init__(self, *, exclusive: bool = False, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        self.exclusive = exclusive
        self.dice = DiceLoss(sigmoid=not exclusive, softmax=exclusive, batch=True, soft_label=True)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is of regions or of class indices, `(B,)` in classification."""
        labelled = is_labelled(label)
        if not bool(labelled.any()):
            return read_zero(output)
        output, label = select_windows(output, label, keep=labelled)
        logits = widen(output.student.logits)
        if self.exclusive and logits.ndim == 2:
            return functional.cross_entropy(logits, read_classes(label, logits))
        shares = self._read_shares(label, logits)
        levels = list_levels(output.student)
        return average_levels([self._compare(level, shares) for level in levels])

    def _read_shares(self, label: Tensor, logits: Tensor) -> Tensor:
        """The label as shares `(B, C, ...)`, in the type of the logits: losses count in it."""
        if self.exclusive:
            classes = read_classes(label, logits).unsqueeze(1)
            shares: Tensor = one_hot(classes, logits.shape[1], dtype=logits.dtype)
            return shares
        read_truth(label, logits)  # stops where the label is of classes
        return label.to(logits)

    def _compare(self, logits: Tensor, shares: Tensor) -> Tensor:
        logits = widen(logits)
        shares = average_to(shares, logits.shape[2:])
        dice: Tensor = self.dice(logits, shares)
        if self.exclusive:
            return dice + functional.cross_entropy(logits, shares)
        return dice + functional.binary_cross_entropy_with_logits(logits, shares)
