"""The latent embeddings of both networks, voxel by voxel."""

from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.feature_maps import check_normalisable, read_map_pair, standardise
from monai_kd.distillation.projectors import ChannelProjector
from monai_kd.outputs import DistillationOutput


class LatentTerm(nn.Module):
    """`mean |P(f_s) - f_t|` between latent embeddings, `P` a 1x1x1 projection.

    Normalised, both sides have mean 0 and variance 1 over the channels of each voxel, as layer
    norm without weights makes them (Ba, Kiros, Hinton 2016, arXiv 1607.06450, equation 3):

        mean_(b,c,v) |n(P(f_s)) - n(f_t)|,   n(x) = (x - mean_c x) / std_c x

    The plain one, as published for TransUNet to SqueezeUNet, is reported to diverge with a student
    of 0.4 M parameters. Its gradient has the same size however far or near the features are, so
    that a large step overshoots, and the next one more so: with SGD at a rate of 0.1 and weight 100
    it diverges at every size of student, `docs/results.md` has the curves. Normalised, the gradient
    shrinks as the student's features grow, and only their direction counts.

    Args:
        student_tap: a map of the student, its bottleneck as a rule.
        teacher_tap: a map or tokens of the teacher.
        student_channels: channels of the student's map.
        teacher_channels: channels of the teacher's map.
        spatial_dims: 2 or 3.
        normalised: without it, the plain term, for comparison.
    """

    def __init__(
        self,
        *,
        student_tap: str,
        teacher_tap: str,
        student_channels: int,
        teacher_channels: int,
        spatial_dims: int = 3,
        normalised: bool = True,
    ) -> None:
        super().__init__()
        if normalised:
            check_normalisable(teacher_channels)
        self.student_tap = student_tap
        self.teacher_tap = teacher_tap
        self.channels = (student_channels, teacher_channels)
        self.normalised = normalised
        self.projector = ChannelProjector(
            student_channels, teacher_channels, spatial_dims=spatial_dims
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        student, teacher = read_map_pair(
            output,
            student_tap=self.student_tap,
            teacher_tap=self.teacher_tap,
            channels=self.channels,
        )
        projected = self.projector(student)
        if not self.normalised:
            return functional.l1_loss(projected, teacher)
        return functional.l1_loss(standardise(projected, dim=1), standardise(teacher, dim=1))
