"""What the teacher's multi-scale fusion found: maps, attention between scales, gates."""

from collections.abc import Sequence

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from monai_kd.distillation.feature_maps import (
    PairedMaps,
    affinity_distance,
    common_grid,
    cosine_distance,
    standardise,
)
from monai_kd.distillation.projectors import Unfitted, project_channels
from monai_kd.distillation.reading import read_feature, read_teacher, widen
from monai_kd.distillation.term import Term, check
from monai_kd.distillation.voxels import average_to
from monai_kd.outputs import DistillationOutput

AFFINITY_GRID = 8  # places per axis, 512 in 3D
LEAST_SHARE = 1.0e-6  # added to a row: its log stays finite, and has a slope
TOKEN_GRID, TOKEN_CHANNELS = 4, 32  # of the student's tokens, of which attention is computed


class FusionTransferTerm(Term):
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
        fusion: str = "fusion",
        maps: float = 1.0,
        attention: float = 1.0,
        gates: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        scales = len(student_taps)
        fused = [f"{fusion}.fused.{scale}" for scale in range(scales) if maps > 0]
        rows_tap, gates_tap = f"{fusion}.cross_scale.scale_attention", f"{fusion}.gates"
        others = [rows_tap] * (attention > 0) + [gates_tap] * (gates > 0)
        super().__init__(weight=weight, student_taps=student_taps, teacher_taps=[*fused, *others])
        expected = "expected one for every scale of the teacher's fusion, which has two or more"
        check(scales >= 2, expected, student_taps=list(student_taps))
        fits = min(maps, attention, gates) >= 0 < maps + attention + gates
        expected = "expected weights of 0 or more, at least one above"
        check(fits, expected, maps=maps, attention=attention, gates=gates)
        self.rows_tap, self.gates_tap = rows_tap, gates_tap
        self.weights = (maps, attention, gates)
        self.maps = nn.ModuleList(
            PairedMaps(*taps, make_projector=project_channels)
            for taps in zip(student_taps, fused, strict=False)
        )
        self.tokens = ScaleTokens(student_taps if attention + gates > 0 else ())
        self.rows = ScaleRows() if attention > 0 else None
        self.score = nn.Linear(scales * TOKEN_CHANNELS, scales) if gates > 0 else None

    def fit(self, output: DistillationOutput) -> None:
        """Build the projectors of maps and tokens."""
        for module in (*self.maps, self.tokens):
            module.fit(output)
        self.to(output.student.logits.device)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        maps, attention, gates = self.weights
        total = output.student.logits.new_zeros(())
        if maps > 0:
            total = (
                total + maps * torch.stack([_compare(*pair(output)) for pair in self.maps]).mean()
            )
        if self.rows is None and self.score is None:
            return total
        tokens = self.tokens(output)
        if self.rows is not None:
            rows = self.rows(tokens)
            seen = self._read_scales(output, self.rows_tap, like=rows)
            total = total + attention * row_divergence(seen, (rows + LEAST_SHARE).log())
        if self.score is not None:
            shares = widen(self.score(tokens.mean(dim=2).flatten(1))).log_softmax(dim=1)
            weighed = self._read_scales(output, self.gates_tap, like=shares)
            total = total + gates * row_divergence(weighed / shares.shape[1], shares)
        return total

    def _read_scales(self, output: DistillationOutput, tap: str, *, like: Tensor) -> Tensor:
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
        taps: of each stage, finest first.
    """

    def __init__(self, taps: Sequence[str]) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.projectors = nn.ModuleList(Unfitted() for _ in taps)

    def fit(self, output: DistillationOutput) -> None:
        """Build a projector for each stage."""
        for index, volume in enumerate(self._read(output)):
            self.projectors[index] = project_channels(
                volume.shape[1], TOKEN_CHANNELS, spatial_dims=volume.ndim - 2
            )

    def forward(self, output: DistillationOutput) -> Tensor:
        """Pool and project the maps of the student."""
        maps = self._read(output)
        grid = common_grid(maps, limit=TOKEN_GRID)
        return torch.stack(
            [
                rearrange(widen(project(average_to(volume, grid))), "b c ... -> b (...) c")
                for project, volume in zip(self.projectors, maps, strict=True)
            ],
            dim=1,
        )

    def _read(self, output: DistillationOutput) -> list[Tensor]:
        return [read_feature(output.student, tap, of="student") for tap in self.taps]


class ScaleRows(Term):
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


def _compare(projected: Tensor, teacher: Tensor) -> Tensor:
    """Cosine distance, and that of the affinities on a coarse grid."""
    grid = common_grid([projected], limit=AFFINITY_GRID)
    coarse = [average_to(volume, grid) for volume in (projected, teacher)]
    return cosine_distance(projected, teacher) + affinity_distance(*coarse)


def row_divergence(teacher: Tensor, log_student: Tensor) -> Tensor:
    """`KL(teacher || student)` of rows that have sum one, mean over rows."""
    negentropy: Tensor = torch.special.xlogy(teacher, teacher)
    return (negentropy - teacher * log_student).sum(dim=-1).mean()
