"""The teacher's probabilities as labels."""

import torch
from torch import Tensor

from monai_kd.distillation.divergence import diverge, read_probability
from monai_kd.distillation.reading import read_logits
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.term import Term
from monai_kd.distillation.voxels import find_masks, sum_voxels
from monai_kd.outputs import DistillationOutput

SMOOTH = 1.0e-5
CERTAIN = 100.0  # a logit whose probability is 1 in float32


class SoftOverlapTerm(Term):
    """`Dice + KL` of the student against the teacher's probabilities, both least at equality.

    With `p = sigmoid(teacher)`, `q = sigmoid(student)` per voxel and region `r`, or a softmax over
    exclusive classes `r`, sums over batch and space, and `g` the gate, 1 without one:

        mean_r [ 1 - (2 sum g p q + e) / (sum g p^2 + sum g q^2 + e) ] + mean g KL(p || q)

    Squares in the denominator make `q = p` the optimum (Milletari, Navab, Ahmadi 2016, arXiv
    1606.04797, equation 4); with plain sums it would be the nearest mask. The divergence is binary
    cross-entropy less the teacher's entropy, so its gradient is that of cross-entropy.

    Args:
        hard: against the teacher's mask instead, as pseudo-labels are: `p` is 0 or 1.
        exclusive: classes exclude one another, softmax over channels; else sigmoid.
        gate: how far to trust the teacher in each voxel.
    """

    def __init__(
        self,
        *,
        hard: bool = False,
        exclusive: bool = False,
        gate: ReliabilityGate | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight)
        self.hard = hard
        self.exclusive = exclusive
        self.gate = gate

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is of regions or of class indices, -1 where unknown."""
        teacher, student = read_logits(output)
        trust = None if self.gate is None else self.gate(teacher, label, exclusive=self.exclusive)
        if self.hard:
            mask = find_masks(teacher, exclusive=self.exclusive)
            teacher = torch.where(mask, CERTAIN, -CERTAIN).to(teacher)
        p, q = (read_probability(x, exclusive=self.exclusive) for x in (teacher, student))
        divergence = diverge(teacher, student, exclusive=self.exclusive)
        products = [p * q, p**2, q**2]
        if trust is not None:
            divergence = trust * divergence
            products = [trust * product for product in products]
        shared, of_teacher, of_student = map(sum_voxels, products)
        overlap = (2 * shared + SMOOTH) / (of_teacher + of_student + SMOOTH)
        return (1 - overlap).mean() + divergence.mean()
