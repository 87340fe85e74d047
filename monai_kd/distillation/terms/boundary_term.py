"""The rim of each region, where overlap is won and lost."""

from torch import Tensor, nn

from monai_kd.distillation.masks import dilate
from monai_kd.distillation.means import keep_off_zero, sum_voxels
from monai_kd.distillation.reading import read_logits, read_truth
from monai_kd.distillation.terms.balanced_soft_label_term import bernoulli_divergence
from monai_kd.outputs import DistillationOutput


class BoundaryTerm(nn.Module):
    """Bernoulli divergence in a shell around each region's surface.

    With `M` the truth's mask of a region where it is known and the teacher's elsewhere, and the
    shell `S = dilate(M) and dilate(not M)`, `thickness` voxels to both sides of the surface:

        T^2 * mean_r mean_(v in S_r) KL(p_t || p_s),   p = sigmoid(z / T)

    A region without surface counts as zero.
    """

    def __init__(self, *, temperature: float = 1.0, thickness: int = 1) -> None:
        super().__init__()
        if temperature <= 0 or thickness < 1:
            raise ValueError(
                f"got temperature={temperature}, thickness={thickness}: temperature must be above "
                "0 and thickness 1 or more voxels"
            )
        self.temperature = temperature
        self.thickness = thickness

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is `(B, R, D, H, W)` of 0 and 1, or -1 where unknown."""
        teacher, student = read_logits(output)
        truth, labelled = read_truth(label, teacher)
        mask = truth if labelled.all() else truth | (~labelled & (teacher > 0))
        shell = dilate(mask, self.thickness) & dilate(~mask, self.thickness)
        places = shell.flatten().nonzero().squeeze(1)  # once: it takes longer than all that follows
        teacher, student = (
            logits.flatten().index_select(0, places) / self.temperature
            for logits in (teacher, student)
        )
        regions = places // shell.shape[2:].numel() % shell.shape[1]
        weights = 1 / keep_off_zero(sum_voxels(shell)).flatten()[regions]
        divergence = bernoulli_divergence(teacher, student)
        return self.temperature**2 * (divergence * weights).sum() / shell.shape[1]
