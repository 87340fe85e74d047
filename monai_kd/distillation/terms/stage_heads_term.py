"""The teacher's answer, asked of every stage of the student."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from monai_kd.distillation.feature_maps import common_grid, read_maps
from monai_kd.distillation.pooling import average_to
from monai_kd.distillation.projectors import ChannelProjector
from monai_kd.distillation.terms.balanced_soft_label_term import bernoulli_divergence
from monai_kd.distillation.terms.deep_soft_label_term import pool_logits
from monai_kd.distillation.terms.soft_label_term import softmax_divergence
from monai_kd.outputs import DistillationOutput


class StageHeadsTerm(nn.Module):
    """Divergence of a 1x1x1 head on each stage of the student from the teacher's probabilities.

    With `p` the teacher's probability at temperature `T`, averaged over the voxels of a cell of
    the stage's grid, and `q` that of the head `h_s(f_s)`:

        T^2 * mean_s mean_v KL(p || q)

    of a Bernoulli variable per region, or over exclusive classes. Logits are a space that all
    architectures share, so nothing of the teacher's inside is needed (Hao et al. 2023, OFA-KD,
    arXiv 2310.19444; their heads are small networks and the target class is
    emphasised, ours are linear and it is not). The heads end with the training.

    Args:
        student_taps: maps of the student's stages.
        student_channels: channels of each.
        out_channels: regions or classes of the teacher's logits.
        spatial_dims: 2 or 3.
        exclusive: softmax over channels; else sigmoid.
        temperature: of both probabilities.
    """

    def __init__(
        self,
        *,
        student_taps: Sequence[str],
        student_channels: Sequence[int],
        out_channels: int,
        spatial_dims: int = 3,
        exclusive: bool = False,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if not student_taps or len(student_taps) != len(student_channels):
            raise ValueError(
                f"got student_taps={list(student_taps)} and student_channels="
                f"{list(student_channels)}: expected as many of both, at least one"
            )
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}, expected a number above 0")
        self.student_taps = tuple(student_taps)
        self.student_channels = tuple(student_channels)
        self.out_channels = out_channels
        self.exclusive = exclusive
        self.temperature = temperature
        self.heads = nn.ModuleList(
            ChannelProjector(channels, out_channels, spatial_dims=spatial_dims)
            for channels in self.student_channels
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        values = [
            self._compare(output, *stage)
            for stage in zip(self.student_taps, self.student_channels, self.heads, strict=True)
        ]
        return self.temperature**2 * torch.stack(values).mean()

    def _compare(
        self, output: DistillationOutput, tap: str, channels: int, head: nn.Module
    ) -> Tensor:
        features, teacher = read_maps(
            output, student_tap=tap, teacher_tap=None, channels=(channels, None)
        )
        self._check_channels(teacher)
        grid = common_grid([features, teacher])
        target = pool_logits(teacher, grid, temperature=self.temperature, exclusive=self.exclusive)
        told = head(average_to(features, grid))
        diverge = softmax_divergence if self.exclusive else bernoulli_divergence
        return diverge(target / self.temperature, told / self.temperature).mean()

    def _check_channels(self, teacher: Tensor) -> None:
        if teacher.shape[1] != self.out_channels:
            raise ValueError(
                f"the teacher's logits have {teacher.shape[1]} channels, out_channels is "
                f"{self.out_channels}: set out_channels to {teacher.shape[1]}"
            )
