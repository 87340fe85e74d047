"""How good a student was on validation cases, as its bundle carries it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

from data_prep.errors import DatasetError
from data_prep.files import write_json
from monai_kd.inference.intervals import FLOOR_ML, LEVEL, Interval, find_interval

FORMAT = 3
MARGIN = 1.25  # that a scan may hold less or more than those that were seen
LEEWAY = 0.05  # below the least agreement that was seen


@dataclass(frozen=True)
class Trust:
    """How good one output is: its mean Dice, and the bound of its volume's intervals.

    `agreement` is the least on which two opinions of a validation case came.
    """

    dice: float | None
    bound: float
    agreement: float = 0.0

    def interval(self, predicted_ml: float, *, agreement: float = 1.0) -> Interval:
        """Return where the true volume lies, nine times in ten."""
        return find_interval(predicted_ml, bound=self.bound, agreement=agreement)

    def knows(self, agreement: float) -> bool:
        """Say whether two opinions agree about as well as in the validation cases."""
        return agreement >= self.agreement - LEEWAY


@dataclass(frozen=True)
class Calibration:
    """The trust in each output, for every subset of channels that `cases` were segmented from.

    `foreground_ml` are the least and the most of what was not 0: of others nothing was learnt.
    """

    cases: int
    foreground_ml: tuple[float, float]
    subsets: Mapping[frozenset[str], Mapping[str, Trust]]

    def knows(self, foreground_ml: float) -> bool:
        """Say whether about as much is not 0 as in the validation cases."""
        smallest, largest = self.foreground_ml
        return smallest / MARGIN <= foreground_ml <= largest * MARGIN

    def of(self, present: Collection[str]) -> Mapping[str, Trust]:
        """The trust in a case of which these channels are there; none where it is not known."""
        return self.subsets.get(frozenset(present), {})


def write_calibration(bundle: Path, calibration: Calibration) -> None:
    """Write it into the bundle's folder, whole or not at all."""
    subsets = [
        {
            "channels": sorted(present),
            "outputs": {name: _describe(trust) for name, trust in outputs.items()},
        }
        for present, outputs in calibration.subsets.items()
    ]
    content = {
        "format": FORMAT,
        "level": LEVEL,
        "floor_ml": FLOOR_ML,
        "cases": calibration.cases,
        "foreground_ml": [round(ml, 1) for ml in calibration.foreground_ml],
        "subsets": subsets,
    }
    write_json(calibration_file(bundle), content)


def read_calibration(bundle: Path) -> Calibration | None:
    """Return what the bundle has learnt of itself, if anything; a DatasetError if it is broken."""
    file = calibration_file(bundle)
    if not file.exists():
        return None
    try:
        return _read(json.loads(file.read_bytes()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{file} cannot be used ({error}): run `monai-kd calibrate` again, or remove it"
        ) from error


def calibration_file(bundle: Path) -> Path:
    """Where a bundle keeps its calibration."""
    return bundle / "configs" / "calibration.json"


def _describe(trust: Trust) -> dict[str, float | None]:
    bound = round(trust.bound, 5) if isfinite(trust.bound) else None
    dice = None if trust.dice is None else round(trust.dice, 4)
    return {"dice": dice, "bound": bound, "agreement": round(trust.agreement, 4)}


def _read(content: Mapping[str, Any]) -> Calibration:
    found = (content["format"], content["level"], content["floor_ml"])
    if found != (FORMAT, LEVEL, FLOOR_ML):
        raise ValueError("it is of another version")
    subsets = {
        frozenset(one["channels"]): {name: _trust(known) for name, known in one["outputs"].items()}
        for one in content["subsets"]
    }
    smallest, largest = map(float, content["foreground_ml"])
    return Calibration(int(content["cases"]), (smallest, largest), subsets)


def _trust(known: Mapping[str, float | None]) -> Trust:
    dice, bound, agreement = known["dice"], known["bound"], known["agreement"]
    return Trust(
        None if dice is None else float(dice),
        inf if bound is None else float(bound),
        float(agreement or 0),
    )
