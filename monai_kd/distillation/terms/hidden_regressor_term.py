"""The teacher's hidden map, told from the student's."""

from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.feature_maps import PairedMaps, cosine_distance
from monai_kd.distillation.projectors import project_neighbours
from monai_kd.distillation.term import Term
from monai_kd.outputs import DistillationOutput


class HiddenRegressorTerm(Term):
    """Distance between the teacher's hidden map and what a regressor makes of the student's.

    With the regressor `r`, two convolutions and a ReLU, on the smaller grid of both maps:

        mean_(b,c,v) (r(f_s) - f_t)^2,   or with `cosine`   mean_(b,v) [ 1 - cos_c(r(f_s), f_t) ]

    As the hints of FitNets (Romero et al. 2015, arXiv 1412.6550, equation 3), and "hidden
    regressor" of Behboodi, Brooks, Rivaz 2025, doi 10.36922/aih.3509. The mean square is in units
    of the teacher's features; the cosine knows no scale.

    Args:
        student_tap: a map of the student.
        teacher_tap: a map or tokens of the teacher.
        cosine: compare directions.
    """

    def __init__(
        self,
        *,
        student_tap: str,
        teacher_tap: str,
        cosine: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=[student_tap], teacher_taps=[teacher_tap])
        self.cosine = cosine
        self.maps = PairedMaps(student_tap, teacher_tap, make_projector=project_neighbours)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        projected, teacher = self.maps(output)
        if self.cosine:
            return cosine_distance(projected, teacher)
        return functional.mse_loss(projected, teacher)
