"""What every term has: a weight, the features that it reads, what it learns."""

from collections.abc import Iterable

from torch import nn

from monai_kd.distillation.feature_maps import PairedMaps
from monai_kd.outputs import DistillationOutput


class Term(nn.Module):
    """Maps `(output, label)` to a scalar.

    >>> class LogitsTerm(Term):
    ...     def forward(self, output, label):
    ...         return functional.l1_loss(output.student.logits, output.teacher.logits)

    Args:
        weight: factor in the sum of terms, 0 or more; a term of weight 0 is not computed.
        student_taps: modules of the student whose outputs are read, None for its logits.
        teacher_taps: modules of the teacher.
    """

    needs_teacher = True

    def __init__(
        self,
        *,
        weight: float = 1.0,
        student_taps: Iterable[str | None] = (),
        teacher_taps: Iterable[str | None] = (),
    ) -> None:
        super().__init__()
        for taps in (student_taps, teacher_taps):
            if isinstance(taps, str):
                raise ValueError(f"taps are the text {taps!r}, expected a list such as [{taps}]")
        self.weight = weight
        self.student_taps = tuple(tap for tap in student_taps if tap is not None)
        self.teacher_taps = tuple(tap for tap in teacher_taps if tap is not None)

    def fit(self, output: DistillationOutput) -> None:
        """Build what is learned for features of these shapes, before the optimiser is made."""
        for child in self.children():
            if isinstance(child, Term | PairedMaps):
                child.fit(output)


def check(fits: bool, expected: str, **settings: object) -> None:
    """Refuse settings of a term that do not fit: what came, and what was expected."""
    if not fits:
        came = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        raise ValueError(f"got {came}: {expected}")
