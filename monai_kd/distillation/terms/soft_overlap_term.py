"""The teacher's probabilities as labels of overlapping regions."""

import torch
from einops import reduce
from torch import Tensor, nn

from monai_kd.distillation.means import OVER_BATCH_AND_SPACE
from monai_kd.distillation.reading import read_logits
from monai_kd.distillation.reliability_gate import ReliabilityGate
from monai_kd.distillation.terms.balanced_soft_label_term import bernoulli_divergence
from monai_kd.outputs import DistillationOutput

SMOOTH = 1.0e-5
CERTAIN = 100.0  # a logit whose probability is 1 in float32


class SoftOverlapTerm(nn.Module):
    """`Dice + KL` of the student against the teacher's probabilities, both least at equality.

    With `p = sigmoid(teacher)`, `q = sigmoid(student)` per voxel and region `r`, sums over batch
    and space, and `g` the gate, 1 without one:

        mean_r [ 1 - (2 sum g p q + e) / (sum g p^2 + sum g q^2 + e) ] + mean g KL(p || q)

    Squares in the denominator make `q = p` the optimum (Milletari, Navab, Ahmadi 2016, arXiv
    1606.04797, equation 4); with plain sums it would be the nearest mask. The divergence is binary
    cross-entropy less the teacher's entropy, so its gradient is that of cross-entropy.

    Args:
        hard: against the teacher's mask instead, as pseudo-labels are: `p` is 0 or 1.
        gate: how far to trust the teacher in each voxel.
    """

    def __init__(self, *, hard: bool = False, gate: ReliabilityGate | None = None) -> None:
        super().__init__()
        self.hard = hard
        self.gate = gate

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is `(B, R, D, H, W)` of 0 and 1, or -1 where unknown."""
        teacher, student = read_logits(output)
        trust = None if self.gate is None else self.gate(teacher, label)
        if self.hard:
            teacher = torch.where(teacher > 0, CERTAIN, -CERTAIN).to(teacher)
        p, q = torch.sigmoid(teacher), torch.sigmoid(student)
        overlap = 2 * _sum(p * q, trust) + SMOOTH
        total = _sum(p**2, trust) + _sum(q**2, trust) + SMOOTH
        divergence = bernoulli_divergence(teacher, student)
        trusted = divergence if trust is None else trust * divergence
        return (1 - overlap / total).mean() + trusted.mean()


def _sum(values: Tensor, trust: Tensor | None) -> Tensor:
    """Sum per region over batch and space."""
    return reduce(values if trust is None else trust * values, OVER_BATCH_AND_SPACE, "sum")
