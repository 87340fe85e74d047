"""The teacher's answer, asked of every stage of the student."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.projectors import ChannelProjector
from monai_kd.distillation.reading import read_teacher, widen
from monai_kd.distillation.terms.feature_maps import read_map_pair
from monai_kd.outputs import DistillationOutput, NetworkOutput


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
        self.channels = [(channels, out_channels) for channels in student_channels]
        self.exclusive = exclusive
        self.temperature = temperature
        self.heads = nn.ModuleList(
            ChannelProjector(*channels, spatial_dims=spatial_dims) for channels in self.channels
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        probability = self._soften(widen(read_teacher(output).logits) / self.temperature)
        softened = DistillationOutput(output.student, NetworkOutput(probability))
        values = []
        for tap, channels, head in zip(self.student_taps, self.channels, self.heads, strict=True):
            features, share = read_map_pair(
                softened, student_tap=tap, teacher_tap=None, channels=channels
            )
            diverge = class_divergence if self.exclusive else region_divergence
            values.append(diverge(share, head(features) / self.temperature))
        return self.temperature**2 * torch.stack(values).mean()

    def _soften(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1) if self.exclusive else torch.sigmoid(logits)


def region_divergence(probability: Tensor, student_logits: Tensor) -> Tensor:
    """Mean Bernoulli divergence of probabilities `(B, R, ...)`: cross-entropy less entropy."""
    entropy: Tensor = torch.special.entr(probability) + torch.special.entr(1 - probability)
    cross_entropy = functional.binary_cross_entropy_with_logits(student_logits, probability)
    return cross_entropy - entropy.mean()


def class_divergence(probability: Tensor, student_logits: Tensor) -> Tensor:
    """Divergence over the classes of probabilities `(B, C, ...)`, mean over voxels."""
    entropy: Tensor = torch.special.entr(probability).sum(dim=1)
    cross_entropy = -(probability * student_logits.log_softmax(dim=1)).sum(dim=1)
    return (cross_entropy - entropy).mean()
