"""What is known of a case that was voxelised, and whether it still holds."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import blosc2
import isal
import nibabel
import numpy as np
import scipy

from data_prep.case import Case, Dataset
from data_prep.errors import DatasetError
from data_prep.files import hash_files, write_json
from data_prep.findings import Finding
from data_prep.rules import Rule
from data_prep.scans.store import FORMAT

IMAGE, LABEL, RECORD = "image.b2nd", "label.b2nd", "case.json"
VERSIONS = {
    "voxels": "2",  # raise it when the code of this folder gives other voxels
    "checks": "1",  # raise it when a scan is read or judged in another way
    "format": str(FORMAT),
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "nibabel": nibabel.__version__,
    "blosc2": blosc2.__version__,
    "isal": isal.__version__,
}


@dataclass(frozen=True)
class VoxelSettings:
    """How scans become voxels.

    `spacing_mm` is that of the grid, or None for each case's own; what lies beyond the
    `percentiles` of the brain is clipped before it is normalised.
    """

    spacing_mm: tuple[float, float, float] | None = (1.0, 1.0, 1.0)
    percentiles: tuple[float, float] = (0.5, 99.5)

    def __post_init__(self) -> None:
        low, high = self.percentiles
        possible = all(0 < side < inf for side in self.spacing_mm or (1,))
        if not (possible and 0 <= low < high <= 100):
            raise DatasetError(
                f"{self}: expected a spacing above 0, and two percentiles from 0 to 100, the lower "
                "first"
            )


@dataclass(frozen=True)
class Record:
    """One case as it lies in the folder; without files it was left out for its `findings`.

    `key` covers everything that the case depends on; `files` are the sha256 of its files by name.
    `written` names those that this run has written.
    """

    case: str
    key: str
    files: Mapping[str, str]
    shape: tuple[int, ...]
    findings: tuple[Finding, ...]
    written: tuple[str, ...] = field(default=(), compare=False)


def hash_of(*parts: object) -> str:
    """Return the sha256 of anything that JSON can write, and of the versions of all that works."""
    content = json.dumps([VERSIONS, *parts], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def case_key(
    case: Case, *, dataset: Dataset, settings: VoxelSettings, hashes: Mapping[Path, str]
) -> str:
    """Return the hash of all that the files and the findings of a case depend on."""
    files = [(name, _relative(i.path, dataset), i.channel) for name, i in case.images.items()]
    label = case.label and _relative(case.label, dataset)
    scheme = dataset.scheme and [dataset.scheme.name, sorted(dataset.scheme.labels)]
    rules = [rule.value for rule in Rule]
    contents = [hashes[path] for path in case.files]
    return hash_of(asdict(settings), dataset.modalities, files, label, scheme, rules, contents)


def read_valid_record(
    case: Case, *, dataset: Dataset, settings: VoxelSettings, output_dir: Path
) -> Record | None:
    """Return what is known of a case if its inputs, settings and files are what they were.

    The inputs are hashed, for a time of change proves nothing.
    """
    folder = output_dir / case.name
    record = read_record(folder)
    if record is None or not all(is_intact(folder / name, record) for name in (IMAGE, LABEL)):
        return None
    try:
        hashes = {path: hash_files(path) for path in case.files}
    except OSError:  # the check will say what is the matter
        return None
    key = case_key(case, dataset=dataset, settings=settings, hashes=hashes)
    return record if record.key == key else None


def write_record(record: Record, folder: Path) -> None:
    """Write what is known of a case, after its files."""
    content = {name: getattr(record, name) for name in ("case", "key", "files")}
    findings = [[f.rule.name, f.case, f.file, f.detail] for f in record.findings]
    write_json(folder / RECORD, content | {"shape": record.shape, "findings": findings})


def read_record(folder: Path) -> Record | None:
    """Read what is known of a case, if anything is."""
    try:
        content: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        findings = tuple(Finding(Rule[rule], *words) for rule, *words in content["findings"])
        shape = tuple(content["shape"])
        return Record(**{**content, "findings": findings, "shape": shape})
    except (OSError, ValueError, KeyError, TypeError):  # absent, or of another version
        return None


def is_intact(path: Path, record: Record) -> bool:
    """Tell whether a file of the case has the bytes that were written, or is rightly absent."""
    expected = record.files.get(path.name)
    return (hash_files(path) if path.is_file() else None) == expected


def _relative(path: Path, dataset: Dataset) -> str:
    return path.relative_to(dataset.root).as_posix()
