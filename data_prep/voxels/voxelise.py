"""A dataset to a folder of voxels that training reads: in parallel, resumable, never stale."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.case import Case, Dataset
from data_prep.checks import find_same_scans, judge_values
from data_prep.errors import DatasetError
from data_prep.files import hash_files, write_json
from data_prep.findings import WHOLE_DATASET, Finding, errors_of, spoilt_cases
from data_prep.parallel import map_in_parallel
from data_prep.scans.store import FORMAT, read_metadata
from data_prep.voxels.build import build_case
from data_prep.voxels.folder import LIST, hold, sweep
from data_prep.voxels.record import (
    IMAGE,
    LABEL,
    Record,
    VoxelSettings,
    read_valid_record,
)


@dataclass(frozen=True)
class VoxelReport:
    """What lies in the folder now, what was found of all cases, and which files this run wrote."""

    output_dir: Path
    cases: tuple[str, ...]
    findings: tuple[Finding, ...]
    written: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 if every case is there, 1 if some are left out, 2 if none can be used."""
        if not self.cases:
            return 2
        return 1 if spoilt_cases(self.findings) else 0

    @property
    def summary(self) -> str:
        """One line for a person."""
        left_out = len(spoilt_cases(self.findings) - {WHOLE_DATASET})
        return (
            f"{len(self.cases)} cases in {self.output_dir}, {left_out} left out, "
            f"{len(self.written)} files written"
        )


def voxelise(
    dataset: Dataset,
    output_dir: str | os.PathLike[str],
    *,
    settings: VoxelSettings | None = None,
    workers: int | None = None,
) -> VoxelReport:
    """Bring every sound case of `dataset` into `output_dir`; remove cases that are no more.

    What is there and depends on nothing that has changed is kept, inputs being compared by content.
    A killed run is completed by the next, to the same bytes.
    """
    folder, settings = Path(output_dir), settings or VoxelSettings()
    with hold(folder):
        sweep(folder, {case.name for case in dataset.cases})
        records = _build_cases(dataset, settings, folder, workers)
        findings = (*dataset.findings, *(f for record in records for f in record.findings))
        findings += tuple(_compare_cases(dataset, records, folder))
        content = _describe(dataset, settings, records, findings)
        if _listed(folder) != content:
            write_json(folder / LIST, content)
    written = tuple(f"{record.case}/{name}" for record in records for name in record.written)
    names = tuple(entry["name"] for entry in content["cases"])
    return VoxelReport(folder, names, findings, written)


def read_voxels_json(folder: Path) -> dict[str, Any]:
    """Read the list of a folder of voxels."""
    try:
        content: dict[str, Any] = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"no finished folder of voxels at {folder}; voxelise first") from error
    if content.get("format") != FORMAT:
        raise DatasetError(f"{folder} has voxel format {content.get('format')}; voxelise it again")
    return content


def _listed(folder: Path) -> dict[str, Any] | None:
    try:
        return read_voxels_json(folder)
    except DatasetError:
        return None


def verify_voxels(folder: Path) -> None:
    """Stop at a file of voxels that does not hold the bytes which were written."""
    for entry in read_voxels_json(folder)["cases"]:
        for name, digest in entry["sha256"].items():
            path = folder / name
            if not path.is_file() or hash_files(path) != digest:
                raise DatasetError(f"{path} is not what was written there; voxelise again")


def _build_cases(
    dataset: Dataset, settings: VoxelSettings, folder: Path, workers: int | None
) -> list[Record]:
    """Return the record of each sound case, made anew where the one that lies there is stale."""
    spoilt = spoilt_cases(dataset.findings)
    cases = [case for case in dataset.cases if case.name not in spoilt]
    bare = replace(dataset, cases=(), findings=())  # what goes to each worker
    read = partial(read_valid_record, dataset=bare, settings=settings, output_dir=folder)
    known = map_in_parallel(read, cases, title="Comparing scans", workers=workers, threads=True)
    stale = [case for case, record in zip(cases, known, strict=True) if record is None]
    build = partial(build_case, dataset=bare, settings=settings, output_dir=folder)
    fresh = iter(map_in_parallel(build, stale, title="Voxelising", workers=workers))
    return [record or next(fresh) for record in known]


def _compare_cases(dataset: Dataset, records: Sequence[Record], folder: Path) -> Iterator[Finding]:
    """What only shows beside other cases, or in the dataset as a whole."""
    described = {r.case: _read_described(folder / r.case) for r in records if r.files}
    cases = [case for case in dataset.cases if case.name in described]
    hashed = [
        (case, {i.path: described[case.name][0]["sources"][m] for m, i in case.images.items()})
        for case in cases
    ]
    yield from find_same_scans(hashed, root=dataset.root)
    counts = [label["counts"] for _, label in described.values()]
    yield from judge_values((float(value) for values in counts for value in values), dataset.scheme)


def _read_described(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metadata of a case's image, and of its label if it has one."""
    label = folder / LABEL
    return read_metadata(folder / IMAGE), read_metadata(label) if label.exists() else {"counts": {}}


def _describe(
    dataset: Dataset,
    settings: VoxelSettings,
    records: Sequence[Record],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    """What the folder holds, with nothing that would differ if it were made again elsewhere."""
    scheme = dataset.scheme
    cases = {case.name: case for case in dataset.cases}
    spoilt = spoilt_cases(findings)
    sound = [record for record in records if not spoilt & {record.case, WHOLE_DATASET}]
    entries = [_entry(cases[record.case], record) for record in sound]
    contents = [[entry["name"], entry["sha256"]] for entry in entries]
    errors = errors_of(findings)
    return {
        "format": FORMAT,
        "name": dataset.root.resolve().name,
        "origin": dataset.origin,
        "layout": dataset.layout,
        "modalities": list(dataset.modalities),
        "scheme": scheme and scheme.name,
        "labels": scheme and {str(value): name for value, name in scheme.labels.items()},
        "regions": scheme and {name: list(values) for name, values in scheme.regions.items()},
        "settings": {name: _plain(value) for name, value in asdict(settings).items()},
        "sha256": hashlib.sha256(json.dumps(contents).encode()).hexdigest(),
        "cases": entries,
        "left_out": {
            name: [str(error) for error in errors if error.case == name]
            for name in sorted(spoilt - {WHOLE_DATASET})
        },
    }


def _entry(case: Case, record: Record) -> dict[str, Any]:
    return {
        "name": case.name,
        "patient": case.patient,
        "grade": case.grade,
        "image": f"{case.name}/{IMAGE}",
        "label": f"{case.name}/{LABEL}" if LABEL in record.files else None,
        "sha256": {f"{case.name}/{name}": digest for name, digest in record.files.items()},
        "shape": list(record.shape),
        "findings": [str(finding) for finding in record.findings],
    }


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
