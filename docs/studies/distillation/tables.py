"""Mean over seeds, and the difference from the twin with its paired 95 % interval."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from docs.studies.distillation.arms import Arm
from tests.acceptance.pages import format_table

COLLAPSED = 0.3  # test Dice of a region below which a student has given it up
HEADS = ("arm", "validation", "test Dice", "each seed", "less the twin, 95 %", "collapsed")


def write_table(rows: Sequence[dict[str, Any]], arms: Sequence[Arm], file: Path) -> None:
    """Markdown: teachers first, then each arm against the twin of the same seeds."""
    lines = [
        [row["arm"], f"{row['validation']:.3f}", f"{row['test']['dice']:.3f}", "", "", ""]
        for row in {row["arm"]: row for row in rows if row["arm"].startswith("teacher")}.values()
    ]
    twin = _by_seed(rows, "twin")
    found = [(arm, _by_seed(rows, arm.name)) for arm in arms]
    lines += [_cells(arm, runs, twin) for arm, runs in found if runs]
    file.write_text(format_table(HEADS, lines) + "\n", encoding="utf-8")


def compare(first: Sequence[float], other: Sequence[float]) -> str:
    """Mean of the paired differences, and half of its 95 % interval by Student's t."""
    differences = [a - b for a, b in zip(first, other, strict=True)]
    quantile = float(stats.t.ppf(0.975, len(differences) - 1))
    spread = statistics.stdev(differences) / len(differences) ** 0.5
    return f"{statistics.mean(differences):+.3f} ± {quantile * spread:.3f}"


def _by_seed(rows: Sequence[dict[str, Any]], name: str) -> dict[int, dict[str, Any]]:
    return {row["seed"]: row for row in rows if row["arm"] == name}


def _cells(arm: Arm, found: dict[int, Any], twin: dict[int, Any]) -> list[str]:
    dice = {seed: row["test"]["dice"] for seed, row in sorted(found.items())}
    shared = [seed for seed in dice if seed in twin]
    gain = ""
    if arm.name != "twin" and len(shared) > 1:
        twins = [twin[seed]["test"]["dice"] for seed in shared]
        gain = compare([dice[seed] for seed in shared], twins)
    return [
        arm.name,
        f"{statistics.mean(row['validation'] for row in found.values()):.3f}",
        f"{statistics.mean(dice.values()):.3f}",
        ", ".join(f"{value:.3f}" for value in dice.values()),
        gain,
        str(sum(min(row["test"]["regions"]) < COLLAPSED for row in found.values())),
    ]
