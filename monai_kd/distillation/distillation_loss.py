"""The weighted sum of terms that a student is trained with."""

from collections.abc import Mapping

from torch import Tensor, nn

from monai_kd.distillation.reading import read_zero
from monai_kd.distillation.weighing import Weighing
from monai_kd.outputs import DistillationOutput


class DistillationLoss(nn.Module):
    """`sum_i weight_i * ramp_i * factor_i * term_i(output, label)`, terms and weights by name.

    The ramp is one number for all terms that need the teacher, see `set_ramp`. The factors come
    from `weighing` and are one without it. A term whose weight or ramp is zero is not computed.

    Args:
        terms: modules that map `(output, label)` to a scalar; one with `needs_teacher = False`
            does without the teacher.
        weights: one number for each term, 0 or more.
        weighing: makes terms comparable, such as `RunningMeanWeighing`; its names, where it has
            any, must hold those of the terms.
    """

    def __init__(
        self,
        terms: Mapping[str, nn.Module],
        *,
        weights: Mapping[str, float],
        weighing: Weighing | None = None,
    ) -> None:
        super().__init__()
        if set(terms) != set(weights):
            raise ValueError(
                f"terms {sorted(terms)} and weights {sorted(weights)} must have the same names: "
                "give every term one weight"
            )
        if wrong := {name: weight for name, weight in weights.items() if not weight >= 0}:
            raise ValueError(f"weights must be 0 or more, got {wrong}")
        if weighing is not None:
            weighing.cover(terms)
        self.terms = nn.ModuleDict(terms)
        self.weights = dict(weights)
        self.weighing = weighing
        self.ramp = 1.0

    def forward(self, output: DistillationOutput, label: Tensor) -> Tensor:
        """The weighted sum, a scalar."""
        weights = {name: weight for name in self.terms if (weight := self.current_weight(name))}
        values = {name: self.terms[name](output, label) for name in weights}
        factors = {} if self.weighing is None else self.weighing(values)
        weighed = (weights[name] * factors.get(name, 1) * values[name] for name in values)
        return sum(weighed, start=label.new_zeros(()) if values else read_zero(output))

    def current_weight(self, name: str) -> float:
        """The weight of a term times its ramp."""
        return self.weights[name] * (self.ramp if needs_teacher(self.terms[name]) else 1.0)

    def wants_teacher(self) -> bool:
        """Whether any term that counts at present needs the teacher."""
        return any(needs_teacher(self.terms[n]) and self.current_weight(n) for n in self.weights)

    def set_ramp(self, ramp: float) -> None:
        """Scale all terms that need the teacher, for MONAI's `ParamSchedulerHandler`."""
        self.ramp = float(ramp)


def needs_teacher(term: nn.Module) -> bool:
    """Whether a term compares with the teacher; all do that do not say otherwise."""
    return bool(getattr(term, "needs_teacher", True))


def ramp_up_and_down(current_step: int, *, up: int = 0, down: int = 0, steps: int = 0) -> float:
    """From 0 to 1 over the first `up` steps, back to 0 over the last `down` of `steps`.

    Steps count from 1, as ignite counts iterations and epochs. For `value_calculator` of MONAI's
    `ParamSchedulerHandler`; its own linear one only rises. Give the handler
    `event=Events.EPOCH_STARTED` (or ITERATION_STARTED): by default it comes after the step, and
    the first one would have the full weight.
    """
    if down > steps or up < 0 or down < 0:
        raise ValueError(
            f"got up={up}, down={down}, steps={steps}: expected steps 0 or more, and to ramp down "
            "the number of all steps"
        )
    rise = min(1.0, (current_step - 1) / up) if up else 1.0
    fall = min(1.0, max(0.0, (steps - current_step) / down)) if down else 1.0
    return min(rise, fall)
