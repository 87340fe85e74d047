"""One wide figure of a run for a README: what each network says of the same slices."""

import json
import os
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from monai_kd.files import replace_file
from monai_kd.report.slices import COLOURS, TISSUES, paint_slice, read_slices
from monai_kd.report.words import NETWORKS, format_count, format_dice

PAPER = "#11151c"  # dark, so that the figure sits well on a light page and on a dark one
INK = "#e8ecf2"


def write_figure(
    run_dir: str | os.PathLike[str], path: str | os.PathLike[str], *, rows: int = 3
) -> Path:
    """Draw T1ce, truth, teacher, student and twin for the first cases of a run; return the file."""
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
    titles = ["T1ce", *(_format_title(name, metrics["networks"]) for name in slices.labels)]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, color=INK, fontsize=11)
    patches = [Patch(color=COLOURS[value], label=TISSUES[value]) for value in COLOURS]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK
    )
    with replace_file(final) as temporary:
        figure.savefig(temporary, dpi=110)
    return final


def _format_title(name: str, networks: dict[str, dict[str, dict[str, float]]]) -> str:
    if name not in networks:
        return name.capitalize()
    network = networks[name]
    size = format_count(network["parameters"])  # type: ignore[arg-type]
    return f"{NETWORKS[name]}\n{size}, mean Dice {format_dice(network['dice']['mean'])}"
