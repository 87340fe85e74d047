"""A term for windows whose truth is unknown."""

from torch import Tensor

from monai_kd.distillation.reading import is_labelled, read_zero, select_windows
from monai_kd.distillation.term import Term
from monai_kd.outputs import DistillationOutput


class UnlabelledTerm(Term):
    """`term` of the unlabelled windows of a batch alone, zero where there are none.

    The weight of `term` itself does not count.
    """

    def __init__(self, term: Term, *, weight: float = 1.0) -> None:
        super().__init__(
            weight=weight, student_taps=term.student_taps, teacher_taps=term.teacher_taps
        )
        self.term = term
        self.needs_teacher = term.needs_teacher

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """Return a scalar."""
        unlabelled = ~is_labelled(label)
        if not bool(unlabelled.any()):
            return read_zero(output)
        value: Tensor = self.term(*select_windows(output, label, keep=unlabelled))
        return value
