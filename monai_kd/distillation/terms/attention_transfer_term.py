"""Where in space a network is active."""

from collections.abc import Sequence

import torch
from einops import reduce
from torch import Tensor

from monai_kd.distillation.feature_maps import common_grid, read_maps, unit
from monai_kd.distillation.term import Term, check
from monai_kd.distillation.voxels import average_to
from monai_kd.outputs import DistillationOutput

TINY = 1.0e-12  # a fourth power of a feature: at 1e-3 it still counts


class AttentionTransferTerm(Term):
    """Distance of activation maps over space, each of length one.

    With `Q` the activation of a voxel, `mean_c |f_c|^power`, averaged to the smaller grid of both
    maps, as one vector for each window:

        mean_j mean_b | Q_s / |Q_s| - Q_t / |Q_t| |^2

    over pairs of taps `j` (Zagoruyko and Komodakis 2017, arXiv 1612.03928, equation 2). The norm
    is squared as in their code: without the square it has no gradient at equality. It lies
    between 0 and 2.

    Args:
        student_taps: maps of the student.
        teacher_taps: maps or tokens of the teacher, one for each of the student's.
        power: above 1 puts weight on the strongest voxels.
    """

    def __init__(
        self,
        *,
        student_taps: Sequence[str],
        teacher_taps: Sequence[str],
        power: float = 2.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=student_taps, teacher_taps=teacher_taps)
        taps = {"student_taps": list(student_taps), "teacher_taps": list(teacher_taps)}
        paired = 0 < len(student_taps) == len(teacher_taps)
        check(paired, "expected as many of both, at least one", **taps)
        check(power >= 1, "expected 1 or more", power=power)
        self.power = power

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        pairs = zip(self.student_taps, self.teacher_taps, strict=True)
        return torch.stack([self._compare(*read_maps(output, *pair)) for pair in pairs]).mean()

    def _compare(self, *maps: Tensor) -> Tensor:
        grid = common_grid(maps)
        activations = [average_to(self._activate(volume), grid) for volume in maps]
        student, teacher = (unit(x.flatten(1), dim=-1, epsilon=TINY) for x in activations)
        return (student - teacher).square().sum(dim=-1).mean()

    def _activate(self, volume: Tensor) -> Tensor:
        activation: Tensor = reduce(volume.abs() ** self.power, "b c ... -> b 1 ...", "mean")
        return activation
