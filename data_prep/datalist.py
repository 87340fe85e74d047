"""Cases to a decathlon-style `dataset.json`: who is trained on, in which fold, who is held back."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.brats.looks import describe_study
from data_prep.case import Case, Dataset
from data_prep.checks import CheckReport
from data_prep.files import write_json
from data_prep.findings import errors_of
from data_prep.splits import TEST, split_patients
from data_prep.voxels import read_voxels_json

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Split:
    """How patients are divided: the part held back, and the folds of the others."""

    seed: int = 0
    test_fraction: float = 0.25
    folds: int = 5


@dataclass(frozen=True)
class _Entry:
    """One case of the list: its files and the hash of each."""

    case: str
    patient: str
    grade: str
    files: tuple[Path, ...]
    label: Path | None
    hashes: Mapping[Path, str]


def write_datalist(
    voxels_dir: StrPath, *, output_file: StrPath, split: Split | None = None
) -> Path:
    """List the voxelised cases of a folder as JSON; return its path.

    All visits of a patient fall in one part, and unlabelled ones in the fold of the others. Paths
    are relative to the list's own folder. `sha256` covers the content of every file and the split,
    and no path.
    """
    folder, output = Path(voxels_dir), Path(output_file)
    found = read_voxels_json(folder)
    entries = [_voxelised_entry(record, folder) for record in found["cases"]]
    kept = ("name", "origin", "layout", "scheme", "regions", "settings", "left_out")
    header = {key: found[key] for key in kept}
    header |= _describe(found["modalities"], found["labels"] or {}, found["regions"])
    return _write(output, header, entries, split or Split())


def write_raw_datalist(
    report: CheckReport, *, output_file: StrPath, split: Split | None = None
) -> Path:
    """List the cases that a check has passed as JSON, for any tool that reads such lists."""
    dataset, output = report.dataset, Path(output_file)
    scheme = dataset.scheme
    header: dict[str, Any] = {
        "name": dataset.root.resolve().name,
        "origin": dataset.origin,
        "layout": dataset.layout,
        "scheme": scheme and scheme.name,
        "regions": scheme and dict(scheme.regions),
    }
    labels, regions = (scheme.labels, scheme.regions) if scheme else ({}, None)
    header |= _describe(_order_in_files(report.usable_cases, dataset), labels, regions)
    errors = errors_of(report.findings)
    header["left_out"] = {
        name: [str(error) for error in errors if error.case == name] for name in report.left_out
    }
    entries = [_raw_entry(case, report.hashes) for case in report.usable_cases]
    return _write(output, header, entries, split or Split())


def state_task(
    channels: Sequence[str], regions: Mapping[str, Sequence[int]] | None
) -> dict[str, Any] | None:
    """State what a network is to answer: regions that overlap, or classes that exclude one another.

    It is None where nothing says what the labels mean.

    >>> state_task(["MRI"], {"Anterior": (1,)})["outputs"]
    {'background': [0], 'Anterior': [1]}
    """
    if not regions:
        return None
    outputs = {name: list(values) for name, values in regions.items()}
    values = [value for members in outputs.values() for value in members]
    kind = "regions" if len(set(values)) < len(values) else "classes"
    if kind == "classes":
        outputs = {"background": [0]} | outputs
    return {"kind": kind, "spatial_dims": 3, "channels": list(channels), "outputs": outputs}


def _describe(
    modalities: Sequence[str],
    labels: Mapping[Any, str],
    regions: Mapping[str, Sequence[int]] | None,
) -> dict[str, Any]:
    named = {str(value): name for value, name in labels.items()}
    return {
        "task": state_task(modalities, regions),
        "study": describe_study(modalities, regions or ()),
        "modality": {str(index): name for index, name in enumerate(modalities)},
        "labels": {"0": "background"} | named,
    }


def _order_in_files(cases: Sequence[Case], dataset: Dataset) -> list[str]:
    """The modalities as a reader of the files meets them: in 4D by channel."""
    images = cases[0].images if cases else {}
    return sorted(dataset.modalities, key=lambda m: images[m].channel or 0 if m in images else 0)


def _voxelised_entry(record: Mapping[str, Any], folder: Path) -> _Entry:
    image = folder / record["image"]
    label = folder / record["label"] if record["label"] else None
    hashes = {folder / name: digest for name, digest in record["sha256"].items()}
    names = (record["name"], record["patient"], record["grade"])
    return _Entry(*names, files=(image,), label=label, hashes=hashes)


def _raw_entry(case: Case, hashes: Mapping[Path, str]) -> _Entry:
    ordered = sorted(case.images.values(), key=lambda image: image.channel or 0)
    files = tuple(dict.fromkeys(image.path for image in ordered))
    own = {path: hashes[path] for path in case.files}
    return _Entry(case.name, case.patient, case.grade, files, case.label, own)


def _write(output: Path, header: dict[str, Any], entries: list[_Entry], split: Split) -> Path:
    labelled = [entry for entry in entries if entry.label]
    parts = split_patients(
        {entry.patient: entry.grade for entry in labelled},
        seed=split.seed,
        test_fraction=split.test_fraction,
        folds=split.folds,
    )
    lists: dict[str, list[dict[str, Any]]] = {"training": [], "test": [], "unlabelled": []}
    for entry in sorted(entries, key=lambda entry: entry.case):
        if not entry.label and parts.get(entry.patient) == TEST:
            continue  # another visit of somebody who is held back: nobody may learn from it
        part = parts.get(entry.patient)
        fold = {"fold": part} if isinstance(part, int) else {}
        name = "unlabelled" if not entry.label else TEST if part == TEST else "training"
        lists[name].append(fold | _record(entry, output.absolute().parent))
    seal = _seal(header, lists)
    write_json(output, header | {"sha256": seal, "seed": split.seed} | lists)
    return output


def _seal(header: Mapping[str, Any], lists: Mapping[str, list[dict[str, Any]]]) -> str:
    """Hash of what the list means: split, contents and task, wherever the files lie."""
    contents = {
        name: [
            [record["case"], record.get("fold"), list(record["sha256"].values())]
            for record in records
        ]
        for name, records in lists.items()
    }
    meaning = [header["modality"], header["task"], contents]
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


def _record(entry: _Entry, base: Path) -> dict[str, Any]:
    files = [_relative(path, base) for path in entry.files]
    return {
        "case": entry.case,
        "patient": entry.patient,
        "grade": entry.grade,
        "image": files if len(files) > 1 else files[0],
        **({"label": _relative(entry.label, base)} if entry.label else {}),
        "sha256": {_relative(path, base): digest for path, digest in entry.hashes.items()},
    }


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path.absolute(), base)).as_posix()
