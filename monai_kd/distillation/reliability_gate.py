"""How far to trust the teacher, voxel by voxel."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.reading import read_truth


class ReliabilityGate(nn.Module):
    """Weights from 0 to 1 of the size of the logits.

    Where the label is known, the probability that the teacher gives to the truth; elsewhere its
    confidence, one minus the entropy of its probability in bits.
    """

    def forward(self, teacher_logits: Tensor, label: Tensor) -> Tensor:
        """Weigh `(B, R, D, H, W)`; `label` is 0 and 1, or -1 where unknown."""
        probability = torch.sigmoid(teacher_logits)
        truth, labelled = read_truth(label, teacher_logits)
        correctness = torch.where(truth, probability, 1 - probability)
        entropy = functional.binary_cross_entropy_with_logits(
            teacher_logits, probability, reduction="none"
        )
        return torch.where(labelled, correctness, 1 - entropy / math.log(2))
