"""Maps of student and teacher, brought to one grid and made comparable."""

from collections.abc import Callable, Sequence
from math import prod

import torch
from einops import rearrange
from torch import Tensor, nn

from monai_kd.distillation.projectors import Unfitted
from monai_kd.distillation.reading import read_feature, read_teacher, widen
from monai_kd.distillation.voxels import average_to
from monai_kd.outputs import DistillationOutput, NetworkOutput

EPSILON = 1.0e-6  # added to variances and squared norms: a constant map has a finite gradient


class PairedMaps(nn.Module):
    """Reads a map of each network on the smaller grid of the two, and projects the student's.

    Args:
        student_tap: a map of the student.
        teacher_tap: a map or tokens of the teacher.
        make_projector: of `(before, after, spatial_dims=...)`, such as `project_channels`.
        normalised: whether the channels of each voxel will be normalised.
        limit: the most voxels per axis.
        multiple: what the grid's edges must be multiples of.
    """

    def __init__(
        self,
        student_tap: str,
        teacher_tap: str,
        *,
        make_projector: Callable[..., nn.Module],
        normalised: bool = False,
        limit: int | None = None,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        self.taps = (student_tap, teacher_tap)
        self.make_projector = make_projector
        self.normalised = normalised
        self.limit = limit
        self.multiple = multiple
        self.projector: nn.Module = Unfitted()

    def fit(self, output: DistillationOutput) -> None:
        """Build the projector for maps of these channels."""
        student, teacher = self._read(output)
        if self.normalised and teacher.shape[1] < 2:
            raise ValueError(
                f"the teacher's {self.taps[1]!r} has one channel: normalising over the channels "
                "of a voxel leaves nothing of it; compare maps of one channel with HiddenTerm"
            )
        projector = self.make_projector(
            student.shape[1], teacher.shape[1], spatial_dims=student.ndim - 2
        )
        self.projector = projector.to(student.device)

    def forward(self, output: DistillationOutput) -> tuple[Tensor, Tensor]:
        """What the projector makes of the student's map, and the teacher's map."""
        student, teacher = self._read(output)
        return widen(self.projector(student)), teacher

    def _read(self, output: DistillationOutput) -> tuple[Tensor, Tensor]:
        return read_map_pair(output, *self.taps, limit=self.limit, multiple=self.multiple)


def read_map_pair(
    output: DistillationOutput,
    student_tap: str | None = None,
    teacher_tap: str | None = None,
    *,
    limit: int | None = None,
    multiple: int = 1,
) -> tuple[Tensor, Tensor]:
    """`read_maps` on the smaller grid of the two, axis by axis.

    It has at most `limit` voxels per axis, a multiple of `multiple`.
    """
    maps = read_maps(output, student_tap, teacher_tap)
    grid = common_grid(maps, limit=limit)
    if min(grid) < multiple:
        raise ValueError(
            f"at {_name(student_tap)} and {_name(teacher_tap)} the smaller map has {grid} voxels, "
            f"which make no {multiple} blocks on every axis: set groups to {min(grid)} or less, "
            "or tap finer maps"
        )
    student, teacher = (average_to(x, [e // multiple * multiple for e in grid]) for x in maps)
    return student, teacher


def read_maps(
    output: DistillationOutput, student_tap: str | None, teacher_tap: str | None
) -> tuple[Tensor, Tensor]:
    """Maps `(B, C, D, H, W)` of both, each on its own grid.

    No tap means the logits. Tokens `(B, N, C)` of a teacher become a volume of the proportions of
    the student's map.
    """
    student = _read(output.student, student_tap, of="student")
    teacher = _read(read_teacher(output), teacher_tap, of="teacher")
    if student.ndim not in (4, 5):
        raise ValueError(
            f"the student's {_name(student_tap)} is {list(student.shape)}, expected a map "
            "(B, C, H, W) or (B, C, D, H, W): tap a module that puts out a map"
        )
    if teacher.ndim == 3:
        teacher = tokens_to_volume(teacher, student.shape[2:], tap=_name(teacher_tap))
    _check_alike(student, teacher, taps=(_name(student_tap), _name(teacher_tap)))
    return student, teacher


def common_grid(maps: Sequence[Tensor], *, limit: int | None = None) -> list[int]:
    """The smallest of all maps' edges, axis by axis, at most `limit`."""
    edges = (min(sizes) for sizes in zip(*(volume.shape[2:] for volume in maps), strict=True))
    return [edge if limit is None else min(edge, limit) for edge in edges]


def tokens_to_volume(tokens: Tensor, proportions: Sequence[int], *, tap: str) -> Tensor:
    """Tokens `(B, N, C)` in the order of a flattened volume as `(B, C, D, H, W)`."""
    ratio = (tokens.shape[1] / prod(proportions)) ** (1 / len(proportions))
    grid = [round(edge * ratio) for edge in proportions]
    if prod(grid) != tokens.shape[1]:
        raise ValueError(
            f"the teacher's {tap} has {tokens.shape[1]} tokens, which fill no grid of the "
            f"proportions of the student's map, {list(proportions)}: drop a class token, or tap "
            "where the teacher has a volume"
        )
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)


def standardise(values: Tensor, *, dim: int, epsilon: float = EPSILON) -> Tensor:
    """Mean 0 and variance 1 along an axis; a constant becomes 0."""
    centred = values - values.mean(dim=dim, keepdim=True)
    return centred / (centred.square().mean(dim=dim, keepdim=True) + epsilon).sqrt()


def unit(values: Tensor, *, dim: int, epsilon: float = EPSILON) -> Tensor:
    """Length 1 along an axis; a zero stays zero."""
    return values / (values.square().sum(dim=dim, keepdim=True) + epsilon).sqrt()


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """`1 - cos` over channels, mean over voxels; as half a squared distance zero at equality."""
    difference = unit(student, dim=1) - unit(teacher, dim=1)
    return 0.5 * difference.square().sum(dim=1).mean()


def affinity(features: Tensor) -> Tensor:
    """Cosines between all voxels of a map, `(B, N, N)`."""
    rows = unit(rearrange(features, "b c ... -> b (...) c"), dim=-1)
    with torch.autocast(features.device.type, enabled=False):  # half would round near cosines
        return rows @ rows.transpose(1, 2)


def affinity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean square of the difference of both affinities."""
    return (affinity(student) - affinity(teacher)).square().mean()


def _read(said: NetworkOutput, tap: str | None, *, of: str) -> Tensor:
    return widen(said.logits) if tap is None else read_feature(said, tap, of=of)


def _name(tap: str | None) -> str:
    return "logits" if tap is None else f"tap {tap!r}"


def _check_alike(student: Tensor, teacher: Tensor, *, taps: tuple[str, str]) -> None:
    if student.ndim != teacher.ndim or student.shape[0] != teacher.shape[0]:
        raise ValueError(
            f"the student's {taps[0]} is {list(student.shape)} and the teacher's {taps[1]} "
            f"{list(teacher.shape)}: expected maps of as many windows and spatial axes, so tap "
            "modules that put these out"
        )
