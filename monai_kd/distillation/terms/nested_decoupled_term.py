"""Nested regions as exclusive classes, the target apart from the others."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from monai_kd.distillation.reading import is_labelled, read_logits
from monai_kd.distillation.terms.means import balanced_mean
from monai_kd.outputs import DistillationOutput

LEAST_GAP = 0.01  # between logits of nested regions; below it their ring counts as all but empty
EXCLUDED = -1.0e4  # a logit whose probability is zero, and finite


class NestedDecoupledTerm(nn.Module):
    """Decoupled distillation between exclusive classes that are made of nested regions.

    Regions `r_1` in which `r_2` lies, in which `r_3` lies, ... make the classes background,
    `r_1 - r_2`, `r_2 - r_3`, ..., innermost, so that what the teacher knows of their likeness is
    told again, which regions each for itself do not tell. With `p = softmax(log class / T)`, `b`
    the pair of the target's probability and the rest, `q` the other classes among themselves:

        T^2 * mean_v [ target_weight * KL(b_t || b_s) + other_weight * KL(q_t || q_s) ]

    (Zhao et al. 2022, arXiv 2203.08679, equation 7.) The target is the truth where it is known, and
    what the teacher holds likeliest elsewhere. Half of the mean's weight lies on voxels whose
    target is not background.

    Args:
        order: channels of the regions, outermost first; WT, TC, ET of TC, WT, ET by default.
        temperature: of both distributions.
        target_weight: of the target against all others, the paper's alpha.
        other_weight: of the others among themselves, the paper's beta.
    """

    def __init__(
        self,
        *,
        order: Sequence[int] = (1, 0, 2),
        temperature: float = 2.0,
        target_weight: float = 1.0,
        other_weight: float = 2.0,
    ) -> None:
        super().__init__()
        if len(order) < 2 or sorted(order) != list(range(len(order))):
            raise ValueError(
                f"got order={list(order)}: expected each channel once, 0 to the number of regions "
                "less one, outermost region first, and at least two of them"
            )
        if temperature <= 0 or min(target_weight, other_weight) < 0:
            raise ValueError(
                f"got temperature={temperature}, target_weight={target_weight}, "
                f"other_weight={other_weight}: temperature must be above 0, weights 0 or more"
            )
        self.order = list(order)
        self.temperature = temperature
        self.target_weight = target_weight
        self.other_weight = other_weight

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar; `label` is `(B, R, D, H, W)` of 0 and 1, or -1 where unknown."""
        teacher, student = (self._log_classes(logits) for logits in read_logits(output))
        target = self._find_target(teacher, label)
        teacher, student = teacher / self.temperature, student / self.temperature
        divergence = self.target_weight * _target_divergence(teacher, student, target)
        divergence = divergence + self.other_weight * _other_divergence(teacher, student, target)
        foreground = (target > 0).to(teacher)
        return self.temperature**2 * balanced_mean(divergence, foreground).sum()

    def _log_classes(self, logits: Tensor) -> Tensor:
        """Log probabilities `(B, R + 1, ...)`, background first.

        `sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))`, which is safe in logs.
        Where a region reaches beyond the one it should lie in, the last factor is held at its
        least and the classes are scaled to a sum of one.
        """
        if logits.shape[1] != len(self.order):
            raise ValueError(
                f"the networks tell {logits.shape[1]} regions, order={self.order} names "
                f"{len(self.order)}: name them all, outermost first"
            )
        nested = logits[:, self.order]
        outer, inner = nested[:, :-1], nested[:, 1:]
        gap = (outer - inner).clamp(min=LEAST_GAP)
        inside, outside = functional.logsigmoid(nested), functional.logsigmoid(-nested)
        rings = inside[:, :-1] + outside[:, 1:] + torch.log(-torch.expm1(-gap))
        classes = torch.cat([outside[:, :1], rings, inside[:, -1:]], dim=1)
        return functional.log_softmax(classes, dim=1)

    def _find_target(self, teacher: Tensor, label: Tensor) -> Tensor:
        """The class `(B, 1, ...)` of each voxel: in how many regions it lies, outermost first."""
        truth = (label[:, self.order] > 0.5).cumprod(dim=1).sum(dim=1, keepdim=True)
        labelled = rearrange(is_labelled(label), "b -> b" + " 1" * (label.ndim - 1))
        return torch.where(labelled, truth, teacher.argmax(dim=1, keepdim=True))


def _target_divergence(teacher: Tensor, student: Tensor, target: Tensor) -> Tensor:
    """`(B, 1, ...)`: the target against all others together."""
    p, q = (_log_pair(logits, target) for logits in (teacher, student))
    return functional.kl_div(q, p, reduction="none", log_target=True).sum(dim=1, keepdim=True)


def _other_divergence(teacher: Tensor, student: Tensor, target: Tensor) -> Tensor:
    """`(B, 1, ...)`: the others among themselves."""
    p, q = (
        functional.log_softmax(_exclude(logits, target), dim=1) for logits in (teacher, student)
    )
    return functional.kl_div(q, p, reduction="none", log_target=True).sum(dim=1, keepdim=True)


def _log_pair(logits: Tensor, target: Tensor) -> Tensor:
    others = torch.logsumexp(_exclude(logits, target), dim=1, keepdim=True)
    return functional.log_softmax(torch.cat([logits.gather(1, target), others], dim=1), dim=1)


def _exclude(logits: Tensor, target: Tensor) -> Tensor:
    return logits.scatter(1, target, EXCLUDED)
