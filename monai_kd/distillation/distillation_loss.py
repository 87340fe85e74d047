"""The weighted sum of terms that a student is trained with."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from monai_kd.distillation.reading import read_zero
from monai_kd.distillation.term import Term
from monai_kd.distillation.weighing import RunningMeanWeighing
from monai_kd.errors import UserError
from monai_kd.networks import probe_network
from monai_kd.outputs import DistillationOutput


class DistillationLoss(nn.Module):
    """`sum_i weight_i * ramp_i * factor_i * term_i(output, label)`, terms by name.

    A weight is its term's own. The ramp is one number for all terms that need the teacher, see
    `set_ramp`. The factors come from `weighing` and are one without it. A term whose weight or
    ramp is zero is not computed.

    What terms learn is built here, from one run of `student` and `teacher` on an empty image, so
    that an optimiser made of `parameters()` has it all; without the networks call `Term.fit`.

    Args:
        terms: modules that map `(output, label)` to a scalar.
        student: the network that learns, without taps.
        teacher: the network it learns from, without taps.
        probe: shape of an image `(B, C, D, H, W)` for that run.
        weighing: makes terms comparable.
    """

    def __init__(
        self,
        terms: Mapping[str, Term],
        *,
        student: nn.Module | None = None,
        teacher: nn.Module | None = None,
        probe: Sequence[int] = (),
        weighing: RunningMeanWeighing | None = None,
    ) -> None:
        super().__init__()
        self.weights = _read_weights(terms)
        self.student_taps = tuple(tap for term in terms.values() for tap in term.student_taps)
        self.teacher_taps = tuple(tap for term in terms.values() for tap in term.teacher_taps)
        if weighing is not None:
            weighing.cover(terms)
        self.terms = nn.ModuleDict(terms)
        self.weighing = weighing
        self.ramp = 1.0
        if student is not None and self.student_taps:
            output = self._look(student, teacher, probe)
            for term in terms.values():
                term.fit(output)

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """The weighted sum, a scalar."""
        weights = {name: weight for name in self.terms if (weight := self.current_weight(name))}
        values = {name: self.terms[name](output, label) for name in weights}
        factors = {} if self.weighing is None else self.weighing(values)
        weighed = (weights[name] * factors.get(name, 1) * values[name] for name in values)
        return sum(weighed, start=label.new_zeros(()) if values else read_zero(output))

    def current_weight(self, name: str) -> float:
        """The weight of a term times its ramp."""
        return self.weights[name] * (self.ramp if self.terms[name].needs_teacher else 1.0)

    def wants_teacher(self) -> bool:
        """Whether any term that counts at present needs the teacher."""
        return any(term.needs_teacher and self.current_weight(n) for n, term in self.terms.items())

    def set_ramp(self, ramp: float) -> None:
        """Scale all terms that need the teacher, for MONAI's `ParamSchedulerHandler`."""
        self.ramp = float(ramp)

    def _look(
        self, student: nn.Module, teacher: nn.Module | None, shape: Sequence[int]
    ) -> DistillationOutput:
        """What both networks say of an empty image; the teacher is run where a term taps it."""
        said = probe_network(student, taps=self.student_taps, shape=shape)
        if teacher is None or not self.teacher_taps:
            return DistillationOutput(said)
        return DistillationOutput(said, probe_network(teacher, taps=self.teacher_taps, shape=shape))


def _read_weights(terms: Mapping[str, Term]) -> dict[str, float]:
    if not terms:
        raise ValueError("the loss has no term: give it one at least, such as SupervisedTerm")
    for name, term in terms.items():
        if not isinstance(term, Term):
            raise ValueError(
                f"term '{name}' is {type(term).__name__}, expected a monai_kd.distillation.Term"
            )
        number = isinstance(term.weight, int | float) and not isinstance(term.weight, bool)
        if not number or not 0 <= term.weight < math.inf:
            raise ValueError(
                f"term '{name}' has the weight {term.weight!r}, expected a number of 0 or more"
            )
    return {name: term.weight for name, term in terms.items()}


def ramp_up_and_down(current_step: int, *, up: int = 0, down: int = 0, steps: int = 0) -> float:
    """From 0 to 1 over the first `up` steps, back to 0 over the last `down` of `steps`.

    Steps count from 1, as ignite counts iterations and epochs. For `value_calculator` of MONAI's
    `ParamSchedulerHandler`; its own linear one only rises. Give the handler
    `event=Events.EPOCH_STARTED` (or ITERATION_STARTED): by default it comes after the step, and
    the first one would have the full weight.
    """
    if down > steps or up < 0 or down < 0:
        raise UserError(
            f"got up={up}, down={down}, steps={steps}: expected steps 0 or more, and to ramp down "
            "the number of all steps"
        )
    rise = min(1.0, (current_step - 1) / up) if up else 1.0
    fall = min(1.0, max(0.0, (steps - current_step) / down)) if down else 1.0
    return min(rise, fall)
