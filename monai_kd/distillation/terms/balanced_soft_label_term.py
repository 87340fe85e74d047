"""The teacher's soft labels for regions that overlap."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.masks import dilate
from monai_kd.distillation.means import balance, keep_off_zero, sum_voxels
from monai_kd.distillation.reading import read_logits, read_truth
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.outputs import DistillationOutput


class BalancedSoftLabelTerm(nn.Module):
    """Bernoulli divergence from teacher to student per region, balanced over fore- and background.

    With `p = sigmoid(z / T)` per voxel and region, and `F` the dilated union of the truth and the
    teacher's foreground of that region:

        T^2 * mean_r [ 1/2 mean_{v in F} KL(p_t || p_s) + 1/2 mean_{v not in F} KL(p_t || p_s) ]

    Regions overlap, so each is a Bernoulli variable of its own and a softmax would be wrong. A
    plain mean over voxels, 98 % of them background, drowns the tumour and may collapse a small
    student. `T^2` keeps the gradient's scale over temperatures (Hinton, Vinyals, Dean 2015,
    arXiv 1503.02531, section 2).

    Args:
        temperature: of both distributions.
        dilation: by how many voxels the foreground is grown.
        balanced: without it, the plain mean over voxels, for comparison.
        gate: how far to trust the teacher in each voxel; the means are then weighted ones.
    """

    def __init__(
        self,
        *,
        temperature: float = 2.0,
        dilation: int = 1,
        balanced: bool = True,
        gate: ReliabilityGate | None = None,
    ) -> None:
        super().__init__()
        if temperature <= 0 or dilation < 0:
            raise ValueError(
                f"got temperature={temperature}, dilation={dilation}: "
                "temperature must be above 0 and dilation 0 or more voxels"
            )
        self.temperature = temperature
        self.dilation = dilation
        self.balanced = balanced
        self.gate = gate

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is `(B, R, D, H, W)` of 0 and 1, or -1 where unknown."""
        teacher, student = read_logits(output)
        divergence = bernoulli_divergence(teacher / self.temperature, student / self.temperature)
        weighed = divergence * self._weigh(teacher, label)
        return self.temperature**2 * sum_voxels(weighed).mean()

    def _weigh(self, teacher: Tensor, label: Tensor) -> Tensor:
        """Weights of voxels, of sum one for each region."""
        trust = None if self.gate is None else self.gate(teacher, label)
        if self.balanced:
            truth, _ = read_truth(label, teacher)
            return balance(dilate(truth | (teacher > 0), self.dilation), trust=trust)
        weights = torch.ones_like(teacher) if trust is None else trust
        return weights / keep_off_zero(sum_voxels(weights))


def bernoulli_divergence(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """`KL(sigmoid(t) || sigmoid(s)) = softplus(s) - softplus(t) + sigmoid(t) (t - s)`."""
    probability = torch.sigmoid(teacher_logits)
    entropy = functional.softplus(teacher_logits) - probability * teacher_logits
    return functional.softplus(student_logits) - probability * student_logits - entropy
