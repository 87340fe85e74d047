"""A term for windows whose truth is unknown."""

from torch import Tensor, nn

from monai_kd.distillation.distillation_loss import needs_teacher
from monai_kd.distillation.reading import is_labelled, read_zero, select_windows
from monai_kd.outputs import DistillationOutput


class UnlabelledTerm(nn.Module):
    """`term` of the unlabelled windows of a batch alone, zero where there are none."""

    def __init__(self, term: nn.Module) -> None:
        super().__init__()
        self.term = term
        self.needs_teacher = needs_teacher(term)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        unlabelled = ~is_labelled(label)
        if not bool(unlabelled.any()):
            return read_zero(output)
        value: Tensor = self.term(*select_windows(output, label, keep=unlabelled))
        return value
