"""The teacher's hidden map, told from the student's."""

from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.feature_maps import cosine_distance, read_map_pair
from monai_kd.distillation.projectors import ConvProjector
from monai_kd.outputs import DistillationOutput


class HiddenRegressorTerm(nn.Module):
    """Distance between the teacher's hidden map and what a regressor makes of the student's.

    With the regressor `r`, two convolutions and a ReLU, on the smaller grid of both maps:

        mean_(b,c,v) (r(f_s) - f_t)^2,   or with `cosine`   mean_(b,v) [ 1 - cos_c(r(f_s), f_t) ]

    As the hints of FitNets (Romero et al. 2015, arXiv 1412.6550, equation 3), and "hidden
    regressor" of Behboodi, Brooks, Rivaz 2025, doi 10.36922/aih.3509. The mean square is in units
    of the teacher's features; the cosine knows no scale.

    Args:
        student_tap: a map of the student.
        teacher_tap: a map or tokens of the teacher.
        student_channels: channels of the student's map.
        teacher_channels: channels of the teacher's map.
        spatial_dims: 2 or 3.
        cosine: compare directions.
    """

    def __init__(
        self,
        *,
        student_tap: str,
        teacher_tap: str,
        student_channels: int,
        teacher_channels: int,
        spatial_dims: int = 3,
        cosine: bool = False,
    ) -> None:
        super().__init__()
        self.student_tap = student_tap
        self.teacher_tap = teacher_tap
        self.channels = (student_channels, teacher_channels)
        self.cosine = cosine
        self.projector = ConvProjector(
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
        if self.cosine:
            return cosine_distance(projected, teacher)
        return functional.mse_loss(projected, teacher)
