"""Maps of student and teacher on one grid, the student's projected to the teacher's channels."""

from collections.abc import Callable

from torch import Tensor, nn

from monai_kd.distillation.feature_maps import read_map_pair
from monai_kd.distillation.projectors import Unfitted
from monai_kd.distillation.reading import widen
from monai_kd.outputs import DistillationOutput


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
