"""Table and curves of what `docs.studies.latent` trained."""

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from docs.studies.distillation.arms import RATE
from tests.acceptance.pages import format_table

SHOWN = [("AdamW", RATE), ("SGD", 1.0e-1)]
POINTS = 10  # of each curve
FAILED = 0.3  # validation Dice below which a student learnt nothing of use
COLOURS = {"twin": "black", "plain": "tab:red", "normalised": "tab:blue"}
STYLES = {1.0: "-", 10.0: "--", 100.0: ":"}


def judge(row: Mapping[str, Any]) -> str:
    """In a word: what the latent term did, and whether the student learnt to segment."""
    if not math.isfinite(row["latent"][-1]):
        return "not finite"
    if row["weight"] and row["latent"][-1] > max(row["first"], row["latent"][0]):
        return "diverged"
    return "failed" if row["dice"][-1] < FAILED else "converged"


def write_table(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Markdown, by size, rate, form, weight."""
    heads = ("parameters", "optimiser", "rate", "form", "weight", "seed")
    heads += ("latent: first, last over first", "supervised, last", "Dice, best", "Dice, last", "")
    places = {form: place for place, form in enumerate(COLOURS)}
    keys = itemgetter("parameters", "optimizer", "rate", "place", "weight", "seed")
    ordered = sorted(({**row, "place": places[row["form"]]} for row in rows), key=keys)
    file.write_text(format_table(heads, map(_cells, ordered)) + "\n", "utf-8")


def _cells(row: Mapping[str, Any]) -> list[str]:
    dice, latent = row["dice"] or [0.0], row["latent"][-1] / row["first"]
    cells = [f"{row['parameters'] / 1e6:.2f} M", row["optimizer"], f"{row['rate']:g}"]
    cells += [row["form"], f"{row['weight']:g}", str(row["seed"])]
    cells += [f"{row['first']:.3f}, {latent:.2f}", f"{row['supervised'][-1]:.3f}"]
    return [*cells, f"{max(dice):.3f}", f"{dice[-1]:.3f}", judge(row)]


def draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Curves over the training: a column for each size, two rows for each optimiser."""
    sizes = sorted({row["parameters"] for row in rows})
    figure, axes = plt.subplots(
        2 * len(SHOWN),
        len(sizes),
        figsize=(3 * len(sizes) + 1.5, 9),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for place, setting in enumerate(SHOWN):
        shown = [
            row
            for row in rows
            if (row["optimizer"], row["rate"]) == setting and row["seed"] == rows[0]["seed"]
        ]
        _draw_setting(shown, axes[2 * place : 2 * place + 2], sizes)
        name = "{} at {:g}".format(*setting)
        axes[2 * place, 0].set_ylabel(f"{name}:\nlatent term over its first")
        axes[2 * place + 1, 0].set_ylabel(f"{name}:\nvalidation Dice")
        axes[2 * place, 0].set_yscale("log")
    for place, size in enumerate(sizes):
        axes[0, place].set_title(f"{size / 1e6:.2f} M parameters")
        axes[-1, place].set_xlabel("share of the training")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    handles = axes[1, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(sizes) + 1)
    figure.savefig(file, dpi=110)


def _draw_setting(rows: Sequence[Mapping[str, Any]], axes: Any, sizes: Sequence[int]) -> None:
    """The latent term in the first row of axes, Dice in the second."""
    for row in rows:
        column = sizes.index(row["parameters"])
        name = row["form"] + (f", weight {row['weight']:g}" if row["weight"] else "")
        look = {"color": COLOURS[row["form"]], "linestyle": STYLES.get(row["weight"], "-")}
        if row["weight"]:
            over_first = [value / row["first"] for value in row["latent"]]
            axes[0, column].plot(*_spread(over_first), **look)
        axes[1, column].plot(*_spread(row["dice"]), **look, label=name)


def _spread(values: Sequence[float]) -> tuple[list[float], Sequence[float]]:
    """Places on the axis of parts of the training that may have ended early."""
    return [(part + 1) / POINTS for part in range(len(values))], values
