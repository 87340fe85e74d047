"""Which files one case leaves in the output folder, and whether they are whole and still true."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.case import Case
from monai_kd.prediction.student import REGIONS

FORMAT = 1
LEFT_OUT = "left_out"  # the folder of what is told of cases without a result


@dataclass(frozen=True)
class ResultFiles:
    """The record is written last, so that it stands for a whole result."""

    folder: Path
    case: str

    @property
    def label(self) -> Path:
        """The segmentation."""
        return self.folder / f"{self.case}_seg.nii.gz"

    @property
    def record(self) -> Path:
        """What was found and how."""
        return self.folder / f"{self.case}.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / f"{self.case}_report.html"

    @property
    def left_out(self) -> Path:
        """The record of a case that could not be segmented."""
        return self.folder / LEFT_OUT / f"{self.case}.json"

    @property
    def dicom(self) -> Path:
        """The segmentation as DICOM."""
        return self.folder / f"{self.case}_seg.dcm"

    def probability(self, region: str) -> Path:
        """How sure the student is of a region, on its own grid."""
        return self.folder / f"{self.case}_{region}_probability.nii.gz"

    def clear(self) -> None:
        """Remove what an earlier run has left, the record first."""
        for path in (self.record, self.left_out, *self._results):
            path.unlink(missing_ok=True)

    @property
    def present(self) -> Path | None:
        """A file that a new result would replace."""
        return next((path for path in (self.record, *self._results) if path.exists()), None)

    @property
    def _results(self) -> tuple[Path, ...]:
        return (self.report, self.dicom, self.label, *map(self.probability, REGIONS))


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record of ours; None for anything else under its name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(content, dict) and content.get("format") == FORMAT
    return content if ours and {"case", "verdict", "provenance"} <= set(content) else None


def find_change(
    files: ResultFiles, case: Case, *, bundle_sha256: str, scheme: str, wanted: Iterable[Path] = ()
) -> str | None:
    """Say why the result has to be made again; None where it is whole and still true.

    The bytes of the scans are hashed anew, which takes a hundredth of what segmenting does.
    """
    record = read_record(files.record)
    if record is None:
        return "not whole"
    absent = [path.name for path in (files.label, *wanted) if not path.is_file()]
    if absent:
        return f"{absent[0]} is absent"
    if record["provenance"].get("bundle", {}).get("sha256") != bundle_sha256:
        return "made with another bundle"
    if record.get("labels", {}).get("scheme") != scheme:
        return "made with other --labels"
    return _find_changed_scan(record.get("sequences", {}), record.get("missing", ()), case)


def _find_changed_scan(
    sequences: Mapping[str, Any], missing: Iterable[str], case: Case
) -> str | None:
    """Compare all but the sequences that were empty and so are not told of."""
    if not set(sequences) <= set(case.images) <= {*sequences, *missing}:
        return "made from other sequences"
    hashes = {path: _hash(path) for path in case.files}
    for name in sequences:
        image = case.images[name]
        known = sequences[name].get("sha256"), sequences[name].get("channel")
        if known != (hashes[image.path], image.channel):
            return f"{image.path.name} has changed"
    return None


def _hash(path: Path) -> str:
    if not path.is_file():  # opening a pipe would wait for ever
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
