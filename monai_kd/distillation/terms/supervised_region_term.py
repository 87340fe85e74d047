"""What the student owes to the labels."""

from collections.abc import Sequence

from monai.losses import DiceLoss
from monai.networks.layers.factories import Pool
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.reading import is_labelled, select_windows, widen
from monai_kd.networks import list_levels
from monai_kd.outputs import DistillationOutput


class SupervisedRegionTerm(nn.Module):
    """`Dice + BCE` of the student against overlapping regions, labels `(B, R, D, H, W)` of 0 and 1.

    Dice is pooled over the batch, so that a window without tumour does not turn it into noise.

    With deep supervision it is the mean over levels, finest first, with weights 1, 1/2, 1/4, ...
    The label of a coarser voxel is the region's share of it, and Dice is least there. The nearest
    voxel, which MONAI's `DeepSupervisionLoss` takes, would lose a rim of one voxel or double it.
    Windows without a label, -1 where the truth is unknown, are skipped.
    """

    needs_teacher = False

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(sigmoid=True, batch=True, soft_label=True)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Dice loss plus the mean binary cross-entropy."""
        labelled = is_labelled(label)
        if not bool(labelled.any()):
            return 0 * output.student.logits.sum()
        output, label = select_windows(output, label, keep=labelled)
        levels = list_levels(output.student)
        weights = [0.5**level for level in range(len(levels))]
        losses = (
            weight * self._compare(logits, label)
            for weight, logits in zip(weights, levels, strict=True)
        )
        return sum(losses, start=label.new_zeros(())) / sum(weights)

    def _compare(self, logits: Tensor, label: Tensor) -> Tensor:
        label = shrink_label(label, size=logits.shape[2:])
        logits = widen(logits)
        dice: Tensor = self.dice(logits, label)
        return dice + functional.binary_cross_entropy_with_logits(logits, label)


def shrink_label(label: Tensor, *, size: Sequence[int]) -> Tensor:
    """The share of each region in every coarser voxel."""
    if tuple(label.shape[2:]) == tuple(size):
        return label
    shares: Tensor = Pool[Pool.ADAPTIVEAVG, len(size)](tuple(size))(label)
    return shares
