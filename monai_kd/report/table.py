"""The table of a run: scores, size and speed of teacher, student and twin."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from monai_kd.report.words import NETWORKS, format_count, format_ratio, format_score

COSTS = ("params", "size", "MACs", "CPU ms", "speed")


def make_table(metrics: Mapping[str, Any]) -> Table:
    """Return the comparison as a table for the terminal."""
    table = Table(
        title=f"{metrics['metric']} on the test cases, and cost",
        caption="size and speed: against the teacher; twin: the student trained without teacher",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True)
    for header in [*metrics["outputs"], "mean", *COSTS]:
        table.add_column(header, justify="right", no_wrap=True)
    for key, *cells in list_rows(metrics):
        table.add_row(NETWORKS[key].partition(" ")[0], *cells)
    return table


def list_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return a row per network, the teacher first: key, score by output and mean, COSTS."""
    networks = metrics["networks"]
    columns = [*metrics["outputs"], "mean"]
    return [
        [key]
        + [format_score(networks[key]["score"].get(column)) for column in columns]
        + _format_costs(networks[key], networks["teacher"])
        for key in NETWORKS
        if key in networks
    ]


def _format_costs(network: Mapping[str, Any], teacher: Mapping[str, Any]) -> list[str]:
    return [
        format_count(network["parameters"]),
        f"1/{format_ratio(teacher['parameters'], network['parameters'])}",
        format_count(network["macs"]),
        f"{network['cpu_ms_per_volume']:,.0f}",
        f"{format_ratio(teacher['cpu_ms_per_volume'], network['cpu_ms_per_volume'])}x",
    ]
