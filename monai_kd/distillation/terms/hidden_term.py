"""What the mean channel of a hidden map shows."""

from einops import reduce
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.feature_maps import read_map_pair, standardise
from monai_kd.distillation.term import Term
from monai_kd.outputs import DistillationOutput


class HiddenTerm(Term):
    """Mean square, or divergence over space, between the channel means of two hidden maps.

    With `m` the mean over channels, standardised over the voxels of a window:

        mean_(b,v) (m_s - m_t)^2,   or with `divergence`   mean_b KL(softmax_v m_t || softmax_v m_s)

    After Behboodi, Brooks, Rivaz 2025, doi 10.36922/aih.3509, "hidden" with MSE or KLD. The
    standardising is ours: activations of two networks have no common scale, and the student would
    be made to learn the teacher's. A mean needs no projector, whatever the channels.

    Args:
        student_tap: a map of the student.
        teacher_tap: a map or tokens of the teacher.
        divergence: compare as distributions over space.
    """

    def __init__(
        self, *, student_tap: str, teacher_tap: str, divergence: bool = False, weight: float = 1.0
    ) -> None:
        super().__init__(weight=weight, student_taps=[student_tap], teacher_taps=[teacher_tap])
        self.taps = (student_tap, teacher_tap)
        self.divergence = divergence

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        student, teacher = (_summarise(volume) for volume in read_map_pair(output, *self.taps))
        if not self.divergence:
            return functional.mse_loss(student, teacher)
        return functional.kl_div(
            student.log_softmax(dim=-1),
            teacher.log_softmax(dim=-1),
            reduction="batchmean",
            log_target=True,
        )


def _summarise(volume: Tensor) -> Tensor:
    return standardise(reduce(volume, "b c ... -> b (...)", "mean"), dim=-1)
