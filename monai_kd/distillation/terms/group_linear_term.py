"""A transformer's tokens, told from a CNN's map block by block."""

from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.feature_maps import check_normalisable, read_map_pair, standardise
from monai_kd.distillation.pooling import average_to
from monai_kd.distillation.projectors import GroupLinearProjector
from monai_kd.outputs import DistillationOutput


class GroupLinearTerm(nn.Module):
    """Mean square between the teacher's tokens and a linear map of the student's, one per block.

    With `P_g` the linear map of the block of space that voxel `v` lies in, and `n` the
    normalisation over the channels of a voxel:

        mean_(b,c,v) (n(P_g(v) f_s[v]) - n(f_t[v]))^2

    The group-wise linear projector of Liu et al. 2022, arXiv 2207.05273: tokens know their place
    by their positions, which a convolution cannot tell. The normalisation is ours, see
    `LatentTerm`.

    Args:
        student_tap: a map of the student.
        teacher_tap: tokens `(B, N, C)` of the teacher, such as "vit_branch.blocks.3", or a map.
        student_channels: channels of the student's map.
        teacher_channels: channels of the teacher's tokens.
        spatial_dims: 2 or 3.
        groups: blocks per axis; maps are averaged to a grid that it divides.
    """

    def __init__(
        self,
        *,
        student_tap: str,
        teacher_tap: str,
        student_channels: int,
        teacher_channels: int,
        spatial_dims: int = 3,
        groups: int = 2,
    ) -> None:
        super().__init__()
        check_normalisable(teacher_channels)
        self.student_tap = student_tap
        self.teacher_tap = teacher_tap
        self.channels = (student_channels, teacher_channels)
        self.groups = groups
        self.projector = GroupLinearProjector(
            student_channels, teacher_channels, groups=groups, spatial_dims=spatial_dims
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        student, teacher = read_map_pair(
            output,
            student_tap=self.student_tap,
            teacher_tap=self.teacher_tap,
            channels=self.channels,
        )
        projected = self.projector(self._divide(student))
        return functional.mse_loss(
            standardise(projected, dim=1), standardise(self._divide(teacher), dim=1)
        )

    def _divide(self, volume: Tensor) -> Tensor:
        """Average to the nearest smaller grid that has whole blocks."""
        size = volume.shape[2:]
        if min(size) < self.groups:
            raise ValueError(
                f"at {self.student_tap!r} and {self.teacher_tap!r} the smaller map has "
                f"{list(size)} voxels, which make no {self.groups} blocks on every axis: set "
                f"groups to {min(size)} or less, or tap finer maps"
            )
        return average_to(volume, [edge // self.groups * self.groups for edge in size])
