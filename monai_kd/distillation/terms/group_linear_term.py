"""A transformer's tokens, told from a CNN's map block by block."""

from functools import partial

from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.feature_maps import PairedMaps, standardise
from monai_kd.distillation.projectors import GroupLinearProjector
from monai_kd.distillation.term import Term, check
from monai_kd.outputs import DistillationOutput


class GroupLinearTerm(Term):
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
        groups: blocks per axis; maps are averaged to a grid that it divides.
    """

    def __init__(
        self,
        *,
        student_tap: str,
        teacher_tap: str,
        groups: int = 2,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=[student_tap], teacher_taps=[teacher_tap])
        check(groups >= 1, "expected 1 or more blocks per axis", groups=groups)
        self.maps = PairedMaps(
            student_tap,
            teacher_tap,
            make_projector=partial(GroupLinearProjector, groups=groups),
            normalised=True,
            multiple=groups,
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        projected, teacher = self.maps(output)
        return functional.mse_loss(standardise(projected, dim=1), standardise(teacher, dim=1))
