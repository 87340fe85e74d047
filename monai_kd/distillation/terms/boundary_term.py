"""The rim of each region, where overlap is won and lost."""

from torch import Tensor

from monai_kd.distillation.divergence import bernoulli_divergence, softmax_divergence
from monai_kd.distillation.reading import read_logits, read_truth
from monai_kd.distillation.term import Term, check
from monai_kd.distillation.voxels import dilate, find_masks, keep_off_zero, sum_voxels
from monai_kd.outputs import DistillationOutput


class BoundaryTerm(Term):
    """Divergence in a shell around the surface of each region, or of each class.

    With `M` the truth's mask of a region where it is known and the teacher's elsewhere, and the
    shell `S = dilate(M) and dilate(not M)`, `thickness` voxels to both sides of the surface:

        T^2 * mean_r mean_(v in S_r) KL(p_t || p_s),   p = sigmoid(z / T)

    of a Bernoulli variable per region; of exclusive classes `p` is a softmax. A region without
    surface counts as zero.

    Args:
        temperature: of both distributions.
        thickness: voxels to each side of the surface.
        exclusive: classes exclude one another, softmax over channels; else sigmoid.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        thickness: int = 1,
        exclusive: bool = False,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight)
        fits = temperature > 0 and thickness >= 1
        expected = "temperature must be above 0 and thickness 1 or more voxels"
        check(fits, expected, temperature=temperature, thickness=thickness)
        self.temperature = temperature
        self.thickness = thickness
        self.exclusive = exclusive

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is of regions or of class indices, -1 where unknown."""
        logits = read_logits(output)
        truth, labelled = read_truth(label, logits[0], exclusive=self.exclusive)
        mask = truth
        if not labelled.all():
            mask = truth | (~labelled & find_masks(logits[0], exclusive=self.exclusive))
        shell = dilate(mask, self.thickness) & dilate(~mask, self.thickness)
        places = shell.flatten().nonzero().squeeze(1)  # once: it takes longer than all that follows
        if self.exclusive:
            voxels = softmax_divergence(*(part / self.temperature for part in logits))
            divergence = voxels.expand_as(shell).flatten().index_select(0, places)
        else:
            rims = (part.flatten().index_select(0, places) for part in logits)
            divergence = bernoulli_divergence(*(rim / self.temperature for rim in rims))
        regions = places // shell.shape[2:].numel() % shell.shape[1]
        weights = 1 / keep_off_zero(sum_voxels(shell)).flatten()[regions]
        return self.temperature**2 * (divergence * weights).sum() / shell.shape[1]
