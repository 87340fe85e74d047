"""The teacher's answer, asked of every stage of the student."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from monai_kd.distillation.divergence import diverge
from monai_kd.distillation.feature_maps import common_grid, read_maps
from monai_kd.distillation.projectors import Unfitted, project_channels
from monai_kd.distillation.reading import read_feature, widen
from monai_kd.distillation.term import Term, check
from monai_kd.distillation.terms.deep_soft_label_term import pool_logits
from monai_kd.distillation.voxels import average_to
from monai_kd.outputs import DistillationOutput


class StageHeadsTerm(Term):
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
        exclusive: softmax over channels; else sigmoid.
        temperature: of both probabilities.
    """

    def __init__(
        self,
        *,
        student_taps: Sequence[str],
        exclusive: bool = False,
        temperature: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=student_taps)
        check(len(student_taps) > 0, "expected one map of the student at least", student_taps=[])
        check(temperature > 0, "temperature must be above 0", temperature=temperature)
        self.exclusive = exclusive
        self.temperature = temperature
        self.heads = nn.ModuleList(Unfitted() for _ in student_taps)

    def fit(self, output: DistillationOutput) -> None:
        """Build a head for each stage, to the regions or classes of the student's own logits."""
        out_channels = output.student.logits.shape[1]
        for index, tap in enumerate(self.student_taps):
            features = read_feature(output.student, tap, of="student")
            dims = features.ndim - 2
            head = project_channels(features.shape[1], out_channels, spatial_dims=dims)
            self.heads[index] = head.to(features.device)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        stages = zip(self.student_taps, self.heads, strict=True)
        values = [self._compare(*read_maps(output, tap, None), head) for tap, head in stages]
        return self.temperature**2 * torch.stack(values).mean()

    def _compare(self, features: Tensor, teacher: Tensor, head: nn.Module) -> Tensor:
        grid = common_grid([features, teacher])
        target = pool_logits(teacher, grid, temperature=self.temperature, exclusive=self.exclusive)
        answer = widen(head(average_to(features, grid)))
        scaled = (target / self.temperature, answer / self.temperature)
        return diverge(*scaled, exclusive=self.exclusive).mean()
