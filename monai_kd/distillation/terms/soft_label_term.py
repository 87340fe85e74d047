"""The teacher's soft labels for exclusive classes."""

from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.divergence import softmax_divergence
from monai_kd.distillation.reading import is_labelled, read_classes, read_logits
from monai_kd.distillation.term import Term, check
from monai_kd.outputs import DistillationOutput


class SoftLabelTerm(Term):
    """Divergence from teacher to student, and cross-entropy with the label, softmax over channels.

    With `p = softmax(z / T)` over the classes of a voxel, or of an image in classification:

        alpha * T^2 * mean_v KL(p_t || p_s) + (1 - alpha) * mean_v CE(z_s, label)

    (Hinton, Vinyals, Dean 2015, arXiv 1503.02531, section 2.) The divergence is over all windows,
    the cross-entropy over the labelled ones alone, and zero where there are none. For regions that
    overlap see `BalancedSoftLabelTerm`.

    Args:
        alpha: share of the teacher, 0 to 1.
        temperature: of both distributions in the divergence.
    """

    def __init__(
        self, *, alpha: float = 0.5, temperature: float = 2.0, weight: float = 1.0
    ) -> None:
        super().__init__(weight=weight)
        expected = "alpha must be from 0 to 1 and temperature must be above 0"
        check(0 <= alpha <= 1 and temperature > 0, expected, alpha=alpha, temperature=temperature)
        self.alpha = alpha
        self.temperature = temperature

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is `(B, 1, D, H, W)` or `(B,)` of indices, -1 where unknown."""
        teacher, student = read_logits(output)
        divergence = softmax_divergence(teacher / self.temperature, student / self.temperature)
        loss = self.alpha * self.temperature**2 * divergence.mean()
        labelled = is_labelled(label)
        if self.alpha == 1 or not bool(labelled.any()):
            return loss
        classes = read_classes(label, student)
        truth = functional.cross_entropy(student[labelled], classes[labelled])
        return loss + (1 - self.alpha) * truth
