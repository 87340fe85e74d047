"""What the teacher's multi-scale fusion found: maps, attention between scales, gates."""

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from monai_kd.distillation.feature_maps import (
    affinity_distance,
    common_grid,
    cosine_distance,
    read_map_pair,
    standardise,
)
from monai_kd.distillation.pooling import average_to
from monai_kd.distillation.projectors import ChannelProjector
from monai_kd.distillation.reading import read_feature, read_teacher, widen
from monai_kd.outputs import DistillationOutput

AFFINITY_GRID = 8  # places per axis, 512 in 3D
LEAST_SHARE = 1.0e-6  # added to a row: its log stays finite, and has a slope
TOKEN_GRID, TOKEN_CHANNELS = 4, 32  # of the student's tokens, of which attention is computed


class FusionTransferTerm(nn.Module):
    """Transfer of MSGFF: `maps * M + attention * A + gates * G`.

    With `P_s` a 1x1x1 projection of the student's stage `s` to the channels of the fused map:

        M = mean_s [ mean_(b,v) (1 - cos_c(P_s(f_s), fused_s)) + affinity(P_s(f_s), fused_s) ]
        A = mean_(b,s) KL(teacher's row s || student's row s)
        G = mean_b KL(teacher's gates / S || student's gates)

    The affinity is that of `AffinityTerm`. The student has no fusion: its rows are the attention
    between its own stages, projected to tokens on a grid of 4 places per axis, as MSGFF has it
    with one head; its gates a softmax over scales of a linear map of its stages' mean tokens.
    Both are learned here and end with the training; what is left is what they ask of the stages.
    No paper has this: it is an ablation of ours. A part of weight 0 is not read, so that a
    teacher with `PlainFusion` can do without attention and gates where it has fused maps.

    Args:
        student_taps: maps of the student's stages, finest first, one for each scale.
        student_channels: channels of each.
        teacher_channels: channels of the teacher's fused maps, its `stage_channels`.
        spatial_dims: 2 or 3.
        fusion: name of the `MultiScaleFusion` in the teacher. To be tapped: `<fusion>.fused.0`
            and so on, `<fusion>.cross_scale.scale_attention`, `<fusion>.gates`.
        maps: weight of the fused maps.
        attention: weight of the attention between scales.
        gates: weight of the gates.
    """

    def __init__(
        self,
        *,
        student_taps: Sequence[str],
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        spatial_dims: int = 3,
        fusion: str = "fusion",
        maps: float = 1.0,
        attention: float = 1.0,
        gates: float = 1.0,
    ) -> None:
        super().__init__()
        if not len(student_taps) == len(student_channels) == len(teacher_channels) >= 2:
            raise ValueError(
                f"got student_taps={list(student_taps)}, student_channels="
                f"{list(student_channels)}, teacher_channels={list(teacher_channels)}: expected "
                "one of each for every scale of the teacher's fusion, which has two or more"
            )
        if min(maps, attention, gates) < 0 or maps + attention + gates == 0:
            raise ValueError(
                f"got maps={maps}, attention={attention}, gates={gates}: expected weights of 0 "
                "or more, at least one above"
            )
        self.student_taps = tuple(student_taps)
        self.fusion = fusion
        self.channels = tuple(zip(student_channels, teacher_channels, strict=True))
        self.weights = (maps, attention, gates)
        scales = len(self.channels)
        self.projectors = nn.ModuleList(
            ChannelProjector(*pair, spatial_dims=spatial_dims) for pair in self.channels if maps > 0
        )
        self.tokens = ScaleTokens(
            student_channels if attention + gates > 0 else (), spatial_dims=spatial_dims
        )
        self.rows = ScaleRows() if attention > 0 else None
        self.score = nn.Linear(scales * TOKEN_CHANNELS, scales) if gates > 0 else None

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        maps, attention, gates = self.weights
        total = output.student.logits.new_zeros(())
        if maps > 0:
            total = total + maps * self._compare_maps(output)
        if self.rows is None and self.score is None:
            return total
        tokens = self.tokens(
            [read_feature(output.student, tap, of="student") for tap in self.student_taps]
        )
        if self.rows is not None:
            rows = self.rows(tokens)
            seen = self._read_scales(output, "cross_scale.scale_attention", like=rows)
            total = total + attention * row_divergence(seen, (rows + LEAST_SHARE).log())
        if self.score is not None:
            shares = widen(self.score(tokens.mean(dim=2).flatten(1))).log_softmax(dim=1)
            weighed = self._read_scales(output, "gates", like=shares) / len(self.student_taps)
            total = total + gates * row_divergence(weighed, shares)
        return total

    def _compare_maps(self, output: DistillationOutput) -> Tensor:
        values = []
        for scale, (tap, projector) in enumerate(
            zip(self.student_taps, self.projectors, strict=True)
        ):
            student, teacher = read_map_pair(
                output,
                student_tap=tap,
                teacher_tap=f"{self.fusion}.fused.{scale}",
                channels=self.channels[scale],
            )
            projected = projector(student)
            grid = common_grid([projected], limit=AFFINITY_GRID)
            coarse = [average_to(volume, grid) for volume in (projected, teacher)]
            values.append(cosine_distance(projected, teacher) + affinity_distance(*coarse))
        return torch.stack(values).mean()

    def _read_scales(self, output: DistillationOutput, name: str, *, like: Tensor) -> Tensor:
        tap = f"{self.fusion}.{name}"
        feature = read_feature(read_teacher(output), tap, of="teacher")
        if feature.shape != like.shape:
            raise ValueError(
                f"the teacher's tap {tap!r} is {list(feature.shape)}, expected {list(like.shape)}: "
                f"give a student tap for each of the {feature.shape[-1]} scales of its fusion"
            )
        return feature


class ScaleTokens(nn.Module):
    """The student's stages as tokens `(B, S, N, C)` on one grid.

    Args:
        channels: of each stage.
        spatial_dims: 2 or 3.
    """

    def __init__(self, channels: Sequence[int], *, spatial_dims: int) -> None:
        super().__init__()
        self.projectors = nn.ModuleList(
            ChannelProjector(count, TOKEN_CHANNELS, spatial_dims=spatial_dims) for count in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Pool and project maps, finest first."""
        grid = common_grid(maps, limit=TOKEN_GRID)
        return torch.stack(
            [
                rearrange(project(average_to(volume, grid)), "b c ... -> b (...) c")
                for project, volume in zip(self.projectors, maps, strict=True)
            ],
            dim=1,
        )


class ScaleRows(nn.Module):
    """How the stages look at each other: tokens `(B, S, N, C)` to `(B, S, S)`, rows of sum one."""

    def __init__(self) -> None:
        super().__init__()
        self.split = nn.Linear(TOKEN_CHANNELS, 2 * TOKEN_CHANNELS, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend, and sum over the tokens of each stage."""
        scales, places = tokens.shape[1:3]
        flat = standardise(rearrange(tokens, "b s n c -> b (s n) c"), dim=-1)
        query, key = rearrange(widen(self.split(flat)), "b n (qk c) -> qk b n c", qk=2)
        scores = widen(query @ key.transpose(1, 2)) / TOKEN_CHANNELS**0.5
        pattern = "b (s n) (t m) -> b s t"
        seen: Tensor = reduce(scores.softmax(dim=-1), pattern, "mean", s=scales, t=scales)
        return places * seen


def row_divergence(teacher: Tensor, log_student: Tensor) -> Tensor:
    """`KL(teacher || student)` of rows that have sum one, mean over rows."""
    negentropy: Tensor = torch.special.xlogy(teacher, teacher)
    return (negentropy - teacher * log_student).sum(dim=-1).mean()
