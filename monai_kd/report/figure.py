"""One wide figure of a run for a README: what each network says of the same slices."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from monai_kd.files import replace_file
from monai_kd.report.slices import list_legend, paint_slice, read_slices
from monai_kd.report.words import NETWORKS, format_count, format_score

PAPER = "#11151c"  # dark, so that the figure sits well on a light page and on a dark one
INK = "#e8ecf2"


def write_figure(
    run_dir: str | os.PathLike[str], path: str | os.PathLike[str], *, rows: int = 3
) -> Path:
    """Draw a slice, truth, teacher, student and twin for the first cases of a run."""
    run, final = Path(run_dir), Path(path)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    slices = read_slices(run / "slices.npz")
    rows, columns = min(rows, len(slices.cases)), 1 + len(slices.labels)
    height, width = slices.background.shape[1:]
    figure = Figure(
        figsize=(2.4 * columns, 2.4 * rows * height / width + 0.95), facecolor=PAPER,
        layout="constrained",
    )  # fmt: skip
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, axes_of_row in enumerate(grid):
        labels = [None, *(maps[row] for maps in slices.labels.values())]
        for axes, label in zip(axes_of_row, labels, strict=True):
            axes.imshow(paint_slice(slices.background[row], label))
            axes.set_axis_off()
    first = metrics["titles"][metrics["channels"][0]]
    titles = [first, *(_format_title(name, metrics) for name in slices.labels)]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, color=INK, fontsize=11)
    patches = [Patch(color=colour, label=name) for colour, name in list_legend(metrics)]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK
    )
    with replace_file(final) as temporary:
        figure.savefig(temporary, dpi=110)
    return final


def _format_title(name: str, metrics: Mapping[str, Any]) -> str:
    network = metrics["networks"].get(name)
    if network is None:
        return name.capitalize()
    score = format_score(network["score"]["mean"])
    size = format_count(network["parameters"])
    return f"{NETWORKS[name]}\n{size}, mean {metrics['metric']} {score}"
