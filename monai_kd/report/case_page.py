"""The page of one case: one file that opens offline, asks the network for nothing, and prints."""

import gzip
import json
import os
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from markupsafe import Markup

from data_prep.brats.looks import TITLES, choose_look
from monai_kd.files import replace_file
from monai_kd.report.case_slices import draw_slices
from monai_kd.report.case_volumes import CaseVolumes, pack_volumes, read_volumes
from monai_kd.report.template import fill_template

MOST_BYTES = 11_500_000  # of a page
LAYOUT_BYTES = 150_000  # of them, for what is neither a picture nor the viewer
# Okabe and Ito's colours: apart from one another, and from grey, for colour-blind readers too.
COLOURS = ("#009e73", "#0072b2", "#e69f00", "#cc79a7")  # of what has no colour of its own
VERDICTS = {
    "PASS": ("✓", "The input passed every check."),
    "CHECK": ("!", "Read the reasons before using this result."),
    "REFUSE": ("✕", "This input cannot be relied upon."),
}
HERE = Path(__file__).parent


def write_case_page(
    record_file: str | os.PathLike[str],
    *,
    images: Mapping[str, Path],
    label: Path | None,
    output: str | os.PathLike[str],
) -> Path:
    """Write the page of the case in `record_file` (JSON) to `output` and return its path.

    `images` by sequence, and `label`, are NIfTI files; a refused case may lack the label, and an
    image that cannot be read is named on the page. An uncertainty map lies beside the record.
    """
    record_path, page = Path(record_file), Path(output)
    record = json.loads(record_path.read_text(encoding="utf-8"))
    volumes, unread = read_volumes(
        images, label, _find_uncertainty(record, record_path), _list_channels(record)
    )
    text = fill_template(
        "case_page.html",
        record=record,
        verdict=VERDICTS[record["verdict"]],
        titles=TITLES,
        unread=unread,
        volumes=_list_volumes(record["volumes_ml"]),
        lesions=_list_lesions(record["lesions"]),
        noun="lesion" if any(map(choose_look, record["labels"]["values"].values())) else "part",
        licence=(HERE / "niivue.LICENSE").read_text(encoding="utf-8"),
        **_fill_viewer(record, volumes),
    )
    with replace_file(page) as temporary:  # a name may hold bytes that are no text
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    return page


def _find_uncertainty(record: Mapping[str, Any], record_file: Path) -> Path | None:
    named = record.get("uncertainty")
    return record_file.with_name(PurePosixPath(named["file"]).name) if named else None


def _list_channels(record: Mapping[str, Any]) -> dict[str, int | None]:
    return {name: sequence.get("channel") for name, sequence in record["sequences"].items()}


def _fill_viewer(record: Mapping[str, Any], volumes: CaseVolumes | None) -> dict[str, Any]:
    colours = _choose_colours(record["labels"]["values"])
    legend = [
        (value, record["labels"]["values"][str(value)], ink) for value, ink in colours.items()
    ]
    if volumes is None:
        return {"scripts": [], "packed": {}, "slices": {}, "viewer": None, "legend": legend}
    voxel = _choose_voxel(record["lesions"], volumes)
    slices = draw_slices(volumes, voxel, colours)
    scripts = [_read_niivue(), (HERE / "case_page.js").read_text(encoding="utf-8")]
    taken = sum(map(len, scripts)) + sum(
        len(png) for row in slices.values() for png in row.values()
    )
    shown, packed = pack_volumes(volumes, MOST_BYTES - LAYOUT_BYTES - taken)
    viewer = {
        "sequences": _list_sequences(volumes),
        "legend": [{"value": value, "name": name, "colour": ink} for value, name, ink in legend],
        "point": [
            (place + 0.5) / side for place, side in zip(voxel, volumes.grid.shape, strict=True)
        ],
        "step": shown.step,
    }
    return {
        "scripts": [(_mark_ours(script), _digest(script)) for script in scripts],
        "packed": {layer: _mark_ours(content) for layer, content in packed.items()},
        "slices": {
            plane: {n: _mark_ours(p) for n, p in row.items()} for plane, row in slices.items()
        },
        "viewer": viewer,
        "legend": legend,
    }


def _choose_colours(names: Mapping[str, str]) -> dict[int, str]:
    """A colour for each value: its own where it has one, else of those that are left."""
    spare = iter(COLOURS * (1 + len(names) // len(COLOURS)))
    looks = {int(value): choose_look(name) for value, name in names.items()}
    return {value: look.ink if look else next(spare) for value, look in looks.items()}


def _choose_voxel(lesions: list[dict[str, Any]], volumes: CaseVolumes) -> tuple[int, int, int]:
    """The middle of the largest lesion, else of the label, else of what is not 0."""
    if lesions:
        largest = max(lesions, key=lambda lesion: lesion["volume_ml"])
        return volumes.to_voxel(np.asarray(largest["centre_mm"], dtype=np.float64))
    whole = next(iter(volumes.images.values()))
    marked = whole if volumes.label is None or not volumes.label.any() else volumes.label
    middle = [int(np.median(side)) if len(side) else 0 for side in np.nonzero(marked)]
    return middle[0], middle[1], middle[2]


def _list_sequences(volumes: CaseVolumes) -> list[dict[str, Any]]:
    names = list(volumes.images)
    first = next((name for name in TITLES if name in names), names[0])
    return [
        {"layer": f"image-{index}", "title": TITLES.get(name, name), "first": name == first}
        for index, name in enumerate(names)
    ]


def _list_volumes(volumes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """With the share of the largest, in percent, for a bar with its interval."""
    ends = [end for volume in volumes.values() for end in volume.values() if end is not None]
    per_ml = 100 / max([*ends, 1e-9])
    return [
        {
            "region": region,
            **volume,
            "bar": {key: end * per_ml for key, end in volume.items() if end is not None},
        }
        for region, volume in volumes.items()
    ]


def _list_lesions(lesions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ordered = sorted(lesions, key=lambda lesion: -lesion["volume_ml"])
    return [
        {
            **lesion,
            "centre": _describe_place(lesion["centre_mm"]),
            "size_mm": [round(abs(high - low)) for low, high in lesion["box_mm"]],
        }
        for lesion in ordered
    ]


def _describe_place(place_mm: list[float]) -> str:
    """In the patient's words: R right, L left, A front, P back, S top, I bottom."""
    ways = ("RL", "AP", "SI")
    return " ".join(
        f"{way[along < 0]} {abs(along):.0f}" for way, along in zip(ways, place_mm, strict=True)
    )


def _read_niivue() -> str:
    return gzip.decompress((HERE / "niivue.umd.js.gz").read_bytes()).decode()


def _mark_ours(text: str) -> Markup:
    """Keep from being escaped what holds nothing from outside: base64, and the scripts."""
    return Markup(text)  # noqa: S704


def _digest(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()
