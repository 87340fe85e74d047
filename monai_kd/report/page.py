"""The page of a run: one file that opens offline and asks the network for nothing."""

import json
import os
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.image import imsave

from monai_kd.files import replace_file
from monai_kd.report.curves import draw_losses, draw_scores
from monai_kd.report.slices import Image, Slices, list_legend, paint_slice, read_slices
from monai_kd.report.table import COSTS, list_rows
from monai_kd.report.template import fill_template
from monai_kd.report.words import NETWORKS, format_count, format_ratio, format_score, format_verdict

WHO = {"truth": "Truth", **NETWORKS}


def write_report(run_dir: str | os.PathLike[str]) -> Path:
    """Write `report.html` from a run's metrics, manifest and slices, and return its path."""
    run = Path(run_dir)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    page = fill_template(
        "report.html",
        manifest=manifest,
        verdict=format_verdict(metrics),
        cost=_compare_costs(metrics["networks"]),
        names=NETWORKS,
        metric=metrics["metric"],
        score_headers=[*metrics["outputs"], "mean"],
        meanings=_list_meanings(metrics),
        image_title=metrics["titles"][metrics["channels"][0]],
        cost_headers=COSTS,
        rows=list_rows(metrics),
        tiles=_list_tiles(metrics["networks"]),
        legend=list_legend(metrics),
        gallery=_list_gallery(read_slices(run / "slices.npz"), metrics),
        curves=_list_curves(metrics),
        cases=_list_cases(metrics),
        case_headers=_list_case_headers(metrics),
    )
    with replace_file(run / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return run / "report.html"


def _compare_costs(networks: Mapping[str, Any]) -> str:
    teacher, student = networks["teacher"], networks["student"]
    size = format_ratio(teacher["parameters"], student["parameters"])
    speed = format_ratio(teacher["cpu_ms_per_volume"], student["cpu_ms_per_volume"])
    return (
        f"The student has {format_count(student['parameters'])} parameters, {size} times fewer "
        f"than its teacher, and is {speed} times as fast on this CPU; "
        f"the teacher reached {format_score(teacher['score'].get('mean'))}."
    )


def _list_meanings(metrics: Mapping[str, Any]) -> str:
    """What short names of outputs mean, where they mean something else."""
    meant = ((name, metrics["titles"][name]) for name in metrics["outputs"])
    return ", ".join(f"{name} {title}" for name, title in meant if title != name)


def _list_tiles(networks: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "title": title,
            "score": format_score(networks[key]["score"].get("mean")),
            "percent": round(100 * (networks[key]["score"].get("mean") or 0), 1),
            "parameters": format_count(networks[key]["parameters"]),
            "milliseconds": f"{networks[key]['cpu_ms_per_volume']:,.0f}",
        }
        for key, title in NETWORKS.items()
        if key in networks
    ]


def _list_gallery(slices: Slices, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    gallery: list[dict[str, Any]] = []
    for index, case in enumerate(slices.cases):
        plain = slices.background[index]
        first = metrics["titles"][metrics["channels"][0]]
        panels = [{"title": first, "image": _encode(paint_slice(plain)), "score": ""}]
        for name, maps in slices.labels.items():
            image = _encode(paint_slice(plain, maps[index]))
            score = _find_score(metrics["networks"].get(name, {}), case)
            panels.append({"title": WHO[name], "image": image, "score": score})
        gallery.append({"case": case, "panels": panels})
    return gallery


def _encode(picture: Image) -> str:
    file = BytesIO()
    imsave(file, picture, format="png")
    return b64encode(file.getvalue()).decode()


def _find_score(network: Mapping[str, Any], case: str) -> str:
    for measured in network.get("cases", ()):
        if measured["case"] == case:
            scores = [f"{key} {format_score(measured[key])}" for key in measured if key != "case"]
            return ", ".join(scores)
    return ""


def _list_curves(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    networks = metrics["networks"]
    losses = [
        {"title": f"Loss: {title.lower()}", "svg": draw_losses(title, networks[key]["history"])}
        for key, title in NETWORKS.items()
        if networks.get(key, {}).get("history")  # a given teacher was trained elsewhere
    ]
    return [{"title": f"Validation {metrics['metric']}", "svg": draw_scores(metrics)}, *losses]


def _list_case_headers(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} {output}"
        for key in NETWORKS
        if key in metrics["networks"]
        for output in metrics["outputs"]
    ]


def _list_cases(metrics: Mapping[str, Any]) -> list[list[str]]:
    measured = [metrics["networks"][key]["cases"] for key in NETWORKS if key in metrics["networks"]]
    return [
        [same[0]["case"]]
        + [format_score(case[output]) for case in same for output in metrics["outputs"]]
        for same in zip(*measured, strict=True)
    ]
