"""Time against parameters: one panel per window, a point per network, the student in every way."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.studies.benchmark.timing import is_plain
from monai_kd.files import replace_file

OURS = {"student": "#d55e00", "teacher": "#0072b2", "teacher-small": "#0072b2"}
THEIRS = "#666666"
MARKERS = {"torch": "o", "torch_compile": "D", "onnxruntime": "^", "openvino": "s"}
GAP = 0.055  # between two labels, as a share of the panel's height


def write_plot(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw torch fp32 of all networks and the student in its other runtimes, at batch 1."""
    single = [row for row in rows if row["batch"] == 1]
    windows = sorted({row["window"] for row in single})
    figure = Figure(figsize=(6.4 * max(len(windows), 1), 5.2), layout="constrained")
    panels = figure.subplots(1, max(len(windows), 1), squeeze=False)[0]
    for axes, window in zip(panels, windows, strict=False):
        _draw(axes, [row for row in single if row["window"] == window], window)
    with replace_file(file) as temporary:
        figure.savefig(temporary, dpi=130)


def _draw(axes: Axes, rows: Sequence[Mapping[str, Any]], window: int) -> None:
    points = [row for row in rows if is_plain(row) or row["network"] == "student"]
    for row in points:
        colour = OURS.get(row["network"], THEIRS)
        axes.scatter(row["params"], row["ms"], s=42, color=colour, marker=MARKERS[row["backend"]])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("parameters")
    axes.set_ylabel("ms for one window")
    axes.set_title(f"{window}^3, batch 1; torch fp32 unless told otherwise", fontsize=10)
    axes.margins(x=0.12, y=0.08)
    axes.set_xlim(right=axes.get_xlim()[1] * 4)  # room for the labels
    axes.grid(alpha=0.2, which="both", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    _label(axes, points)


def _label(axes: Axes, points: Sequence[Mapping[str, Any]]) -> None:
    """Write each name right of its point; a label moves up where it would cover one below it."""
    low, high = axes.get_ylim()
    step = (high / low) ** GAP
    placed: list[tuple[float, float]] = []
    for row in sorted(points, key=lambda row: float(row["ms"])):
        height = row["ms"]
        for parameters, other in placed:
            near = 1 / 5 < parameters / row["params"] < 5
            height = max(height, other * step) if near else height
        placed.append((row["params"], height))
        way = "" if is_plain(row) else f" {row['backend'].replace('_', '.')} {row['precision']}"
        axes.annotate(
            f"{row['network']}{way}",
            (row["params"], row["ms"]),
            xytext=(row["params"] * 1.22, height),
            fontsize=8,
            va="center",
            color=OURS.get(row["network"], "#333333"),
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#999999"},
        )
