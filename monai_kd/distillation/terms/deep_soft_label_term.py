"""The teacher's soft labels for the coarser levels of a deeply supervised student."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.reading import read_teacher, read_truth, widen
from monai_kd.distillation.term import Term
from monai_kd.distillation.terms.balanced_soft_label_term import BalancedSoftLabelTerm
from monai_kd.distillation.terms.soft_label_term import SoftLabelTerm
from monai_kd.distillation.voxels import average_levels, average_to
from monai_kd.networks import list_levels
from monai_kd.outputs import DistillationOutput, NetworkOutput


class DeepSoftLabelTerm(Term):
    """Divergence from the teacher's pooled probabilities to each coarser level of the student.

    With `z_l` the student's logits of level `l = 1, 2, ...`, and `p_l` the teacher's probabilities
    at temperature `T`, averaged over the voxels of level `l`:

        T^2 * sum_l 2^-l D(p_l || p(z_l / T)) / sum_l 2^-l

    `D` is the divergence of `BalancedSoftLabelTerm`, a coarser voxel being foreground as soon as
    one in it is, for exclusive classes that of `SoftLabelTerm`.
    Probabilities are averaged rather than logits: a logit of -20 would outvote three of +5, and a
    rim of one voxel be lost. The finest level has terms of its own.

    Args:
        temperature: of both distributions.
        exclusive: classes exclude each other; without it, regions overlap.
    """

    def __init__(
        self, *, temperature: float = 2.0, exclusive: bool = False, weight: float = 1.0
    ) -> None:
        super().__init__(weight=weight)
        self.temperature = temperature
        self.exclusive = exclusive
        self.term = (
            SoftLabelTerm(alpha=1.0, temperature=temperature)
            if exclusive
            else BalancedSoftLabelTerm(temperature=temperature, dilation=0)
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is that of the finest level."""
        teacher = widen(read_teacher(output).logits)
        levels = list_levels(output.student)[1:]
        if not levels:
            raise ValueError(
                "the student gives no coarser levels: build it with deep_supervision above 0, or "
                "take StageHeadsTerm, which brings heads of its own"
            )
        return average_levels([self._compare(teacher, level, label) for level in levels])

    def _compare(self, teacher: Tensor, student: Tensor, label: Tensor) -> Tensor:
        size = student.shape[2:]
        pooled = pool_logits(teacher, size, temperature=self.temperature, exclusive=self.exclusive)
        pair = DistillationOutput(NetworkOutput(student), NetworkOutput(pooled))
        foreground = label if self.exclusive else pool_foreground(teacher, label, size)
        loss: Tensor = self.term(pair, foreground)
        return loss


def pool_foreground(teacher: Tensor, label: Tensor, size: Sequence[int]) -> Tensor:
    """Where a coarser voxel holds any foreground: of a small region, none holds a majority."""
    truth, _ = read_truth(label, teacher)
    return (average_to((truth | (teacher > 0)).to(teacher), size) > 0).to(teacher)


def pool_logits(
    logits: Tensor, size: Sequence[int], *, temperature: float, exclusive: bool
) -> Tensor:
    """Logits whose probabilities at this temperature are the means over coarser voxels."""
    logits = logits / temperature
    if exclusive:
        return temperature * _log(average_to(functional.softmax(logits, dim=1), size))
    yes, no = (average_to(torch.sigmoid(signed), size) for signed in (logits, -logits))
    return temperature * (_log(yes) - _log(no))


def _log(probability: Tensor) -> Tensor:
    return probability.clamp(min=torch.finfo(probability.dtype).tiny).log()
