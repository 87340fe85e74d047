"""The teacher's soft labels, balanced over fore- and background."""

import torch
from torch import Tensor

from monai_kd.distillation.divergence import diverge
from monai_kd.distillation.reading import read_logits, read_truth
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.term import Term, check
from monai_kd.distillation.voxels import balance, dilate, find_masks, keep_off_zero, sum_voxels
from monai_kd.outputs import DistillationOutput


class BalancedSoftLabelTerm(Term):
    """Divergence from teacher to student per region, half of its weight on the foreground.

    With `p = sigmoid(z / T)` per voxel and region, and `F` the dilated union of the truth and the
    teacher's foreground of that region:

        T^2 * mean_r [ 1/2 mean_{v in F} KL(p_t || p_s) + 1/2 mean_{v not in F} KL(p_t || p_s) ]

    Regions overlap, so each is a Bernoulli variable of its own and a softmax would be wrong. Of
    exclusive classes `p` is a softmax, and each class, background too, has an `F`. A plain mean
    over voxels, most of them background, drowns the foreground and may collapse a small student.
    `T^2` keeps the gradient's scale over temperatures (Hinton, Vinyals, Dean 2015,
    arXiv 1503.02531, section 2).

    Args:
        temperature: of both distributions.
        dilation: by how many voxels the foreground is grown.
        balanced: without it, the plain mean over voxels, for comparison.
        exclusive: classes exclude one another, softmax over channels; else sigmoid.
        gate: how far to trust the teacher in each voxel; the means are then weighted ones.
    """

    def __init__(
        self,
        *,
        temperature: float = 2.0,
        dilation: int = 1,
        balanced: bool = True,
        exclusive: bool = False,
        gate: ReliabilityGate | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight)
        expected = "temperature must be above 0 and dilation 0 or more voxels"
        check(
            temperature > 0 and dilation >= 0, expected, temperature=temperature, dilation=dilation
        )
        self.temperature = temperature
        self.dilation = dilation
        self.balanced = balanced
        self.exclusive = exclusive
        self.gate = gate

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is of regions or of class indices, -1 where unknown."""
        teacher, student = read_logits(output)
        scaled = (teacher / self.temperature, student / self.temperature)
        divergence = diverge(*scaled, exclusive=self.exclusive)
        weighed = divergence * self._weigh(teacher, label)
        return self.temperature**2 * sum_voxels(weighed).mean()

    def _weigh(self, teacher: Tensor, label: Tensor) -> Tensor:
        """Weights of voxels, of sum one for each region."""
        trust = None if self.gate is None else self.gate(teacher, label, exclusive=self.exclusive)
        if self.balanced:
            truth, _ = read_truth(label, teacher, exclusive=self.exclusive)
            foreground = truth | find_masks(teacher, exclusive=self.exclusive)
            return balance(dilate(foreground, self.dilation), trust=trust)
        weights = torch.ones_like(teacher) if trust is None else trust
        return weights / keep_off_zero(sum_voxels(weights))
