"""Where in space each channel looks."""

from einops import rearrange
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.reading import read_logits
from monai_kd.distillation.term import Term, check
from monai_kd.distillation.voxels import pool
from monai_kd.outputs import DistillationOutput


class ChannelwiseTerm(Term):
    """Divergence between distributions over space, one for each channel of the logits.

    With `z` the logits pooled by `stride`, and the softmax over the voxels `v` of a channel:

        T^2 * mean_(b,c) sum_v p_v log(p_v / q_v),   p = softmax_v(teacher / T), q of the student

    A channel's sum of probability is one however small its region, so background does not drown
    it (Shu et al. 2021, arXiv 2011.13256, equations 5 and 6; the mean over channels is theirs).
    """

    def __init__(self, *, temperature: float = 4.0, stride: int = 2, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
        expected = "temperature must be above 0 and stride 1 or more voxels"
        check(temperature > 0 and stride >= 1, expected, temperature=temperature, stride=stride)
        self.temperature = temperature
        self.stride = stride

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        teacher, student = (self._log_distribution(logits) for logits in read_logits(output))
        divergence = functional.kl_div(student, teacher, reduction="none", log_target=True)
        return self.temperature**2 * divergence.sum(dim=-1).mean()

    def _log_distribution(self, logits: Tensor) -> Tensor:
        flat = rearrange(pool(logits, self.stride), "b c ... -> b c (...)")
        return functional.log_softmax(flat / self.temperature, dim=-1)
