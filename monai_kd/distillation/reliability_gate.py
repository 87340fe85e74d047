"""How far to trust the teacher, voxel by voxel."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.divergence import read_probability
from monai_kd.distillation.reading import read_truth


class ReliabilityGate(nn.Module):
    """Weights from 0 to 1 of the size of the logits.

    Where the label is known, the probability that the teacher gives to the truth; elsewhere its
    confidence, one minus the entropy of its probability as a share of the largest.
    """

    def forward(self, teacher_logits: Tensor, label: Tensor, *, exclusive: bool = False) -> Tensor:
        """Weigh `(B, R, D, H, W)`, of classes `(B, 1, D, H, W)`; -1 is a label that is unknown."""
        probability = read_probability(teacher_logits, exclusive=exclusive)
        truth, labelled = read_truth(label, teacher_logits, exclusive=exclusive)
        if exclusive:
            correctness = (truth * probability).sum(dim=1, keepdim=True)
            entropy = torch.special.entr(probability).sum(dim=1, keepdim=True)
            confidence = 1 - entropy / math.log(probability.shape[1])
            return torch.where(labelled, correctness, confidence)
        correctness = torch.where(truth, probability, 1 - probability)
        entropy = functional.binary_cross_entropy_with_logits(
            teacher_logits, probability, reduction="none"
        )
        return torch.where(labelled, correctness, 1 - entropy / math.log(2))
