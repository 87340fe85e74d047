"""Which channels and which voxels rise together, whatever their scale."""

from einops import rearrange
from torch import Tensor

from monai_kd.distillation.divergence import read_probability
from monai_kd.distillation.feature_maps import EPSILON, PairedMaps, standardise
from monai_kd.distillation.projectors import project_unlike
from monai_kd.distillation.reading import read_logits
from monai_kd.distillation.term import Term, check
from monai_kd.outputs import DistillationOutput


class CorrelationTerm(Term):
    """One minus Pearson's correlation of student and teacher, across channels and across voxels.

    With `d(a, b) = 1 - cor(a, b)`, and `y` the probabilities at temperature `T`, or the features
    as they are:

        inter * mean_v d(y_s[:, v], y_t[:, v]) + intra * mean_c d(y_s[c, :], y_t[c, :])

    `v` are the voxels of all windows of the batch, `c` the channels: regions, classes or
    features (Huang et al. 2022, DIST, arXiv 2205.10536, inter- and intra-class relations). With
    one channel there is no correlation across channels, and that part is left out. A correlation
    knows no scale, so the gradient needs no `T^2`. It is computed as `mean (a' - b')^2 / 2` with
    `a' = (a - mean a) / sqrt(var a + 1e-6 / T^2)`, which is zero at equality also where a is
    constant, and lets voxels of background count little whose probabilities hardly differ. The
    temperature of features is 1.

    Args:
        student_tap: a map of the student, projected to the teacher's channels where they differ;
            by default both sides are logits.
        teacher_tap: a map of the teacher; goes with `student_tap`.
        exclusive: logits are of exclusive classes, softmax over channels; else sigmoid.
        temperature: of the probabilities.
        inter: weight of the part across channels.
        intra: weight of the part across voxels.
    """

    def __init__(
        self,
        *,
        student_tap: str | None = None,
        teacher_tap: str | None = None,
        exclusive: bool = False,
        temperature: float = 1.0,
        inter: float = 1.0,
        intra: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=[student_tap], teacher_taps=[teacher_tap])
        both = len(self.student_taps) == len(self.teacher_taps)
        taps = {"student_tap": student_tap, "teacher_tap": teacher_tap}
        check(both, "give both, or neither to compare logits", **taps)
        fits = temperature > 0 and min(inter, intra) >= 0
        expected = "temperature must be above 0, weights 0 or more"
        check(fits, expected, temperature=temperature, inter=inter, intra=intra)
        self.maps = None
        if student_tap is not None and teacher_tap is not None:
            self.maps = PairedMaps(student_tap, teacher_tap, make_projector=project_unlike)
        self.exclusive = exclusive
        self.temperature = temperature
        self.inter = inter
        self.intra = intra

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        floor = EPSILON
        if self.maps is None:
            teacher, student = (
                read_probability(logits / self.temperature, exclusive=self.exclusive)
                for logits in read_logits(output)
            )
            floor /= self.temperature**2
        else:
            student, teacher = self.maps(output)
        intra = decorrelation(student, teacher, "b c ... -> c (b ...)", epsilon=floor)
        if student.shape[1] == 1:
            return self.intra * intra
        inter = decorrelation(student, teacher, "b c ... -> (b ...) c", epsilon=floor)
        return self.inter * inter + self.intra * intra


def decorrelation(student: Tensor, teacher: Tensor, rows: str, *, epsilon: float) -> Tensor:
    """Mean of `1 - cor` over rows of values, `rows` says in einops' words which these are."""
    student, teacher = (
        standardise(rearrange(x, rows), dim=-1, epsilon=epsilon) for x in (student, teacher)
    )
    return 0.5 * (student - teacher).square().mean()
