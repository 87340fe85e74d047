"""The teacher's soft labels for regions that overlap."""

import torch
from einops import reduce
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.outputs import DistillationOutput

SUM_OVER_BATCH_AND_SPACE = "b r ... -> r"


class BalancedSoftLabelTerm(nn.Module):
    """Bernoulli divergence from teacher to student per region, balanced over fore- and background.

    With `p = sigmoid(z / T)` per voxel and region, and `F` the dilated union of the truth and the
    teacher's foreground of that region:

        T^2 * mean_r [ 1/2 mean_{v in F} KL(p_t || p_s) + 1/2 mean_{v not in F} KL(p_t || p_s) ]

    Regions overlap, so each is a Bernoulli variable of its own and a softmax would be wrong. A
    plain mean over voxels, 98 % of them background, drowns the tumour and may collapse a small
    student. `T^2` keeps the gradient's scale over temperatures (Hinton, Vinyals, Dean 2015,
    arXiv 1503.02531, section 2).
    """

    def __init__(self, *, temperature: float = 2.0, dilation: int = 1) -> None:
        super().__init__()
        if temperature <= 0 or dilation < 0:
            raise ValueError(
                f"got temperature={temperature}, dilation={dilation}: "
                "temperature must be above 0 and dilation 0 or more voxels"
            )
        self.temperature = temperature
        self.dilation = dilation

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """The balanced divergence, a scalar; `label` is `(B, R, D, H, W)` of 0 and 1."""
        if output.teacher is None:
            raise ValueError(
                "a soft label needs a teacher: give the distiller one, or drop the term"
            )
        teacher_logits, student_logits = output.teacher.logits, output.student.logits
        divergence = bernoulli_divergence(
            teacher_logits / self.temperature, student_logits / self.temperature
        )
        foreground = self._dilate((label > 0.5) | (teacher_logits > 0))
        balanced = 0.5 * (
            _masked_mean(divergence, foreground) + _masked_mean(divergence, ~foreground)
        )
        return self.temperature**2 * balanced.mean()

    def _dilate(self, mask: Tensor) -> Tensor:
        pool = functional.max_pool3d if mask.ndim == 5 else functional.max_pool2d
        size = 2 * self.dilation + 1
        return pool(mask.float(), size, stride=1, padding=self.dilation) > 0.5


def bernoulli_divergence(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """`KL(sigmoid(teacher) || sigmoid(student))` per element: cross-entropy less entropy."""
    probability = torch.sigmoid(teacher_logits)
    cross_entropy = functional.binary_cross_entropy_with_logits(
        student_logits, probability, reduction="none"
    )
    entropy = functional.binary_cross_entropy_with_logits(
        teacher_logits, probability, reduction="none"
    )
    return cross_entropy - entropy


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean per region over batch and space, zero where the mask is empty."""
    total = reduce(values * mask, SUM_OVER_BATCH_AND_SPACE, "sum")
    count = reduce(mask.to(values.dtype), SUM_OVER_BATCH_AND_SPACE, "sum")
    return total / count.clamp(min=1)
