"""How far a volume can be trusted: split conformal intervals, calibrated on validation cases.

The score of a case is how far the true volume lies from the predicted one, as a ratio, over how
hard the case is: `|log((true + e) / (predicted + e))| / (1 - agreement + d)`. With the scores of n
cases and a level c, the ceil((n + 1) * c)-th smallest holds the score of a new, exchangeable case
with a chance of c at least, whatever the network. (Vovk et al. 2005; Lei et al. 2018.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log
from typing import NamedTuple

LEVEL = 0.9
FLOOR_ML = 0.5  # e: below it, ratios of volumes are noise
LEAST_DIFFICULTY = 0.05  # d: of a case on which both opinions agree
ROUNDING = 1e-9  # 0.9 * 10 must not be counted as 10


@dataclass(frozen=True)
class VolumeCase:
    """One region of one validation case; agreement of two opinions, 1 where there is only one."""

    predicted_ml: float
    true_ml: float
    agreement: float = 1.0


class Interval(NamedTuple):
    """From `low_ml` to `high_ml`, which is infinite where too few cases were seen."""

    low_ml: float
    high_ml: float


def find_interval(predicted_ml: float, *, bound: float, agreement: float = 1.0) -> Interval:
    """Return where the true volume lies, given the bound that `find_bound` found."""
    width = bound * _difficulty(agreement)
    if width == inf:
        return Interval(0.0, inf)
    factor = exp(min(width, 700.0))  # beyond it a float overflows
    shifted = predicted_ml + FLOOR_ML
    return Interval(max(0.0, shifted / factor - FLOOR_ML), shifted * factor - FLOOR_ML)


def find_bound(cases: Sequence[VolumeCase], *, level: float = LEVEL) -> float:
    """Return the ceil((n + 1) * level)-th smallest score; infinite where there are fewer."""
    scores = sorted(map(score_of, cases))
    rank = ceil((len(scores) + 1) * level - ROUNDING)
    return scores[max(rank, 1) - 1] if rank <= len(scores) else inf


def score_of(case: VolumeCase) -> float:
    """How far off the prediction was, for how hard the case was."""
    ratio = (case.true_ml + FLOOR_ML) / (case.predicted_ml + FLOOR_ML)
    return abs(log(ratio)) / _difficulty(case.agreement)


def _difficulty(agreement: float) -> float:
    return 1 - min(max(agreement, 0.0), 1.0) + LEAST_DIFFICULTY
