"""The latent embeddings of both networks, voxel by voxel."""

from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.feature_maps import PairedMaps, standardise
from monai_kd.distillation.projectors import project_channels
from monai_kd.distillation.term import Term
from monai_kd.outputs import DistillationOutput


class LatentTerm(Term):
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
        normalised: without it, the plain term, for comparison.
    """

    def __init__(
        self,
        *,
        student_tap: str,
        teacher_tap: str,
        normalised: bool = True,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=[student_tap], teacher_taps=[teacher_tap])
        self.normalised = normalised
        self.maps = PairedMaps(
            student_tap, teacher_tap, make_projector=project_channels, normalised=normalised
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        projected, teacher = self.maps(output)
        if not self.normalised:
            return functional.l1_loss(projected, teacher)
        return functional.l1_loss(standardise(projected, dim=1), standardise(teacher, dim=1))
