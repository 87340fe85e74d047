"""Nested regions as exclusive classes, the target apart from the others."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.divergence import bernoulli_divergence
from monai_kd.distillation.reading import read_logits, read_truth
from monai_kd.distillation.term import Term, check
from monai_kd.distillation.voxels import balance
from monai_kd.outputs import DistillationOutput

EXCLUDED = 50.0  # below all others a logit counts for nothing; deeper, exp takes five times longer


class NestedDecoupledTerm(Term):
    """Decoupled distillation between exclusive classes that are made of nested regions.

    Regions `r_1` in which `r_2` lies, in which `r_3` lies, ... make the classes background,
    `r_1 - r_2`, `r_2 - r_3`, ..., innermost, so that what the teacher knows of their likeness is
    told again, which regions each for itself do not tell. With `p = softmax(log class / T)`, `b`
    the pair of the target's probability and the rest, `q` the other classes among themselves:

        T^2 * mean_v [ target_weight * KL(b_t || b_s) + other_weight * KL(q_t || q_s) ]

    (Zhao et al. 2022, arXiv 2203.08679, equation 7.) The target is the truth where it is known, and
    what the teacher holds likeliest elsewhere. Half of the mean's weight lies on voxels whose
    target is not background.

    `T^2` keeps the gradient's scale to a few percent where all classes are about alike. Elsewhere
    it grows, up to sixfold from `T = 1` to 8, also at logits near zero: nested regions of one
    probability leave no room between them, so the classes there are not alike.

    Args:
        order: channels of the regions, outermost first.
        temperature: of both distributions.
        target_weight: of the target against all others, the paper's alpha.
        other_weight: of the others among themselves, the paper's beta.
    """

    def __init__(
        self,
        *,
        order: Sequence[int],
        temperature: float = 2.0,
        target_weight: float = 1.0,
        other_weight: float = 2.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight)
        check(
            len(order) >= 2 and sorted(order) == list(range(len(order))),
            "expected each channel once, 0 to the number of regions less one, outermost region "
            "first, and at least two of them",
            order=list(order),
        )
        weights = {"target_weight": target_weight, "other_weight": other_weight}
        fits = temperature > 0 and min(weights.values()) >= 0
        expected = "temperature must be above 0, weights 0 or more"
        check(fits, expected, temperature=temperature, **weights)
        self.order = list(order)
        self.temperature = temperature
        self.target_weight = target_weight
        self.other_weight = other_weight

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is `(B, R, D, H, W)` of 0 and 1, or -1 where unknown."""
        logits = read_logits(output)
        teacher, student = (self._class_logits(regions) for regions in logits)
        target = self._find_target(teacher, *read_truth(label, logits[0]))
        divergence = self._diverge(teacher / self.temperature, student / self.temperature, target)
        return self.temperature**2 * (divergence * balance(target > 0)).sum()

    def _class_logits(self, logits: Tensor) -> Tensor:
        """Logs of the classes' shares `(B, R + 1, ...)`, background first, to be normalised.

        `sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(-(a - b)))`, which is safe in
        logs. In place of `a - b` stands `log(1 + exp(2 (a - b))) / 2`: the same where the regions
        are nested, and where they are not it lets the gradient, 2 at most, lead back.
        """
        if logits.shape[1] != len(self.order):
            raise ValueError(
                f"the networks give {logits.shape[1]} regions, order={self.order} names "
                f"{len(self.order)}: name them all, outermost first"
            )
        nested = torch.stack([logits[:, channel] for channel in self.order], dim=1)
        inside = functional.logsigmoid(nested)
        outside = inside - nested
        gap = 2 * (nested[:, :-1] - nested[:, 1:])
        apart = functional.logsigmoid(gap)
        ring = apart - torch.log1p(torch.exp((apart - gap) / 2))
        rings = inside[:, :-1] + outside[:, 1:] + ring
        return torch.cat([outside[:, :1], rings, inside[:, -1:]], dim=1)

    def _find_target(self, teacher: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
        """The class `(B, 1, ...)` of each voxel: in how many regions it lies, outermost first."""
        inside = torch.ones_like(truth[:, 0])
        target = torch.zeros_like(inside, dtype=torch.long)
        for channel in self.order:
            inside = inside & truth[:, channel]
            target += inside
        if bool(labelled.all()):
            return target.unsqueeze(1)
        return torch.where(labelled, target.unsqueeze(1), teacher.argmax(dim=1, keepdim=True))

    def _diverge(self, teacher: Tensor, student: Tensor, target: Tensor) -> Tensor:
        """`(B, 1, ...)`: the target against all others, and the others among themselves."""
        p, q = (_exclude(logits, target) for logits in (teacher, student))
        p_all, q_all = (torch.logsumexp(others, dim=1, keepdim=True) for others in (p, q))
        of_target = bernoulli_divergence(
            teacher.gather(1, target) - p_all, student.gather(1, target) - q_all
        )
        among_others = (torch.exp(p - p_all) * (p - q)).sum(dim=1, keepdim=True) + q_all - p_all
        return self.target_weight * of_target + self.other_weight * among_others


def _exclude(logits: Tensor, target: Tensor) -> Tensor:
    least = logits.detach().amin(dim=1, keepdim=True)
    return logits.scatter(1, target, least - EXCLUDED)
