"""Curves of a run as SVG that takes its ink from the page, so it is legible light and dark."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_kd.report.words import NETWORKS

INK = "#010203"  # a colour nobody would choose; replaced by the page's own
STYLES: dict[
    str, dict[str, Any]
] = {  # Okabe and Ito's colours, told apart by dash and marker as well
    "teacher": {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    "student": {"color": "#d55e00", "linestyle": "-", "marker": "o"},
    "twin": {"color": "#009e73", "linestyle": ":", "marker": "^"},
}
TERM_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#cc79a7", "linestyle": "--"},
    {"color": "#56b4e9", "linestyle": "-."},
    {"color": "#e69f00", "linestyle": ":"},
    {"color": "#999999", "linestyle": (0, (5, 1))},
)


def draw_scores(metrics: Mapping[str, Any]) -> str:
    """Return the mean validation score by epoch of all networks, as an SVG element."""
    metric = f"mean {metrics['metric']}"
    figure, axes = _open_axes(f"{metric}, validation")
    for key, network in metrics["networks"].items():
        seen = [entry for entry in network["history"] if entry.get("score")]
        if not seen:
            continue
        epochs = [entry["epoch"] for entry in seen]
        scores = [entry["score"]["mean"] for entry in seen]
        axes.plot(epochs, scores, label=NETWORKS[key], markersize=4, **STYLES[key])
    axes.set_ylim(0, 1)
    return _close_axes(figure, axes, f"Validation {metric} of each network by epoch")


def draw_losses(title: str, history: Sequence[Mapping[str, Any]]) -> str:
    """Return the terms of one network's training loss by epoch, as an SVG element."""
    figure, axes = _open_axes("loss, training")
    epochs = [entry["epoch"] for entry in history]
    named = dict.fromkeys(term for entry in history for term in entry["loss"])
    terms = [term for term in named if term != "total"]  # one with a ramp is absent at first
    for index, term in enumerate(terms):
        style = TERM_STYLES[index % len(TERM_STYLES)]
        values = [entry["loss"].get(term) for entry in history]
        axes.plot(epochs, values, label=term.replace("_", " "), **style)
    if len(terms) != 1:
        axes.plot(epochs, [entry["loss"]["total"] for entry in history], label="total", color=INK)
    axes.set_ylim(bottom=0)
    return _close_axes(figure, axes, f"Training loss of the {title.lower()} by epoch")


def _open_axes(quantity: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 2.7), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("epoch", color=INK)
    axes.set_ylabel(quantity, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.15, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    return figure, axes


def _close_axes(figure: Figure, axes: Axes, description: str) -> str:
    if axes.lines:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    drawing = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": description}):
        figure.savefig(drawing, format="svg", transparent=True, metadata={"Date": None})
    svg = drawing.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1 LABEL>", svg, count=1)
    label = f'role="img" aria-label="{description}"'
    svg = svg.replace("LABEL", label, 1).replace(INK, "currentColor")
    for name, style in STYLES.items():  # the page has a lighter shade of each for dark screens
        svg = svg.replace(style["color"], f"var(--{name}, {style['color']})")
    return svg
