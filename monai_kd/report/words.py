"""Numbers as a reader wants them, and the one sentence that the run is about."""

from collections.abc import Mapping
from typing import Any

NETWORKS = {"teacher": "Teacher", "student": "Student", "twin": "Twin without teacher"}
ABSENT = "–"  # noqa: RUF001  (a dash for a reader, not an operator)


def format_verdict(metrics: Mapping[str, Any]) -> str:
    """Return whether distillation was ahead of the twin in this run, without claiming more."""
    student, twin = (metrics["networks"][key]["score"].get("mean") for key in ("student", "twin"))
    metric = f"mean {metrics['metric']}"
    if student is None or twin is None:
        return f"The {metric} was not measured, so this run says nothing about distillation."
    gain = round(student, 3) - round(twin, 3)
    outcome, evidence = _weigh(gain)
    return (
        f"In this one run the student with distillation reached {metric} {student:.3f}, "
        f"the twin without {twin:.3f}: {outcome}. "
        f"One run with one seed is not evidence of {evidence}."
    )


def _weigh(gain: float) -> tuple[str, str]:
    if abs(gain) < 5e-4:
        return "the two were level to three decimals", "equality"
    if gain > 0:
        return f"distillation was ahead by {gain:.3f}", "a gain"
    return f"distillation was behind by {-gain:.3f}", "a loss"


def format_score(score: float | None) -> str:
    """Return a score with three decimals, or a dash where none was measured."""
    return ABSENT if score is None else f"{score:.3f}"


def format_count(count: float) -> str:
    """Return a large count in thousands (k), millions (M) or billions (G)."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f}"


def format_ratio(teacher: float, other: float) -> str:
    """Return how many times the teacher's figure is the other's."""
    return f"{teacher / other:.3g}" if other else ABSENT
