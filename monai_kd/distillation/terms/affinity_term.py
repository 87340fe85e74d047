"""Which places look alike."""

from torch import Tensor

from monai_kd.distillation.feature_maps import affinity_distance, read_map_pair
from monai_kd.distillation.term import Term, check
from monai_kd.outputs import DistillationOutput


class AffinityTerm(Term):
    """Squared difference of the cosines between all pairs of places, on a pooled grid.

    With `f_i` the feature of place `i` of `N`:

        mean_b 1/N^2 sum_ij (a_s[i, j] - a_t[i, j])^2,   a[i, j] = f_i . f_j / (|f_i| |f_j|)

    Pair-wise distillation (Liu et al. 2019, arXiv 1903.04197). Channels may differ in number and
    meaning, so nothing is projected. Logits of voxels that are all background have a cosine of
    one whatever else they say: features tell more.

    Args:
        student_tap: a map of the student, the logits by default.
        teacher_tap: a map or tokens of the teacher, the logits by default.
        grid: the most places per axis; `N^2` cosines are kept for each window.
    """

    def __init__(
        self,
        *,
        student_tap: str | None = None,
        teacher_tap: str | None = None,
        grid: int = 8,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=[student_tap], teacher_taps=[teacher_tap])
        check(grid >= 1, "expected 1 or more places per axis", grid=grid)
        self.taps = (student_tap, teacher_tap)
        self.grid = grid

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        return affinity_distance(*read_map_pair(output, *self.taps, limit=self.grid))
