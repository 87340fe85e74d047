"""A transformer's attention, imitated by a CNN."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from monai_kd.distillation.feature_maps import PairedMaps, standardise
from monai_kd.distillation.projectors import project_attention
from monai_kd.distillation.term import Term, check
from monai_kd.outputs import DistillationOutput


class CrossAttentionTerm(Term):
    """Partially-cross attention: the student's queries, keys and values in the teacher's place.

    With `A(q, k, v) = softmax(q k^T / sqrt(C)) v`, the teacher's tokens `x` and the student's
    `q, k, v` by a 3x3x3 convolution each:

        mean (A(x, x, x) - A(q', k', v'))^2 + mean (x x^T / C - v v^T / C)^2

    where `q'` is `x` instead of `q` with probability `replace` in training mode, and so for `k'`
    and `v'`: a student that fits in one place only is found out in another (Liu et al. 2022,
    arXiv 2207.05273, partially-cross-attention projector).

    It deviates from the paper in three ways. Our ViT's blocks keep their queries, keys and values
    to themselves, so `x` stands for all three: what is imitated is the attention that tokens
    would pay to what resembles them. All tokens are normalised over channels, and the second part
    is divided by `C` rather than its root, so that no scale of the teacher's decides the size of
    either part.

    Args:
        student_tap: a map of the student.
        teacher_tap: tokens `(B, N, C)` of the teacher, such as "vit_branch.blocks.3", or a map.
        replace: how often the teacher's tokens take the place of the student's.
        grid: the most places per axis; attention between all of them is kept.
    """

    def __init__(
        self,
        *,
        student_tap: str,
        teacher_tap: str,
        replace: float = 0.5,
        grid: int = 8,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight=weight, student_taps=[student_tap], teacher_taps=[teacher_tap])
        expected = "expected a probability of 0 or more and below 1, 1 or more places per axis"
        check(0 <= replace < 1 <= grid, expected, replace=replace, grid=grid)
        self.replace = replace
        self.maps = PairedMaps(
            student_tap,
            teacher_tap,
            make_projector=project_attention,
            normalised=True,
            limit=grid,
        )

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        student, teacher = self.maps(output)
        tokens = standardise(rearrange(teacher, "b c ... -> b (...) c"), dim=-1)
        parts = rearrange(student, "b (qkv c) ... -> qkv b (...) c", qkv=3)
        own = [standardise(part, dim=-1) for part in parts]
        with torch.autocast(tokens.device.type, enabled=False):
            attention = attend(tokens, tokens, tokens) - attend(*self._mix(own, tokens))
            relation = resemble(tokens) - resemble(own[2])
        return attention.square().mean() + relation.square().mean()

    def _mix(self, own: list[Tensor], tokens: Tensor) -> list[Tensor]:
        """Put the teacher's tokens in the place of some of the student's, at random."""
        if not self.training:
            return own
        replaced = (torch.rand(len(own)) < self.replace).tolist()
        return [tokens if instead else part for part, instead in zip(own, replaced, strict=True)]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`softmax(q k^T / sqrt(C)) v` of tokens `(B, N, C)`."""
    return functional.scaled_dot_product_attention(query, key, value)


def resemble(tokens: Tensor) -> Tensor:
    """How alike all tokens are, `x x^T / C`."""
    return tokens @ tokens.transpose(1, 2) / tokens.shape[-1]
