"""Which files one case leaves in the output folder, and whether they are whole and still true."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.case import Case
from data_prep.files import hash_files
from data_prep.rules import Rule
from data_prep.scans import files_of

FORMAT = 1
APART = (Rule.NOT_ALIGNED.code, Rule.OWN_SPACING.code)  # what --coregister does away with
LEFT_OUT = "left_out"  # the folder of the records of cases without a result


@dataclass(frozen=True)
class ResultFiles:
    """The record is written last, so that it stands for a whole result.

    `outputs` are those that have a probability each.
    """

    folder: Path
    case: str
    outputs: tuple[str, ...] = ()

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

    def probability(self, output: str) -> Path:
        """How sure the student is of an output, on its own grid."""
        return self.folder / f"{self.case}_{output}_probability.nii.gz"

    @property
    def uncertainty(self) -> Path:
        """How undecided the student is, on the voxels of the mask."""
        return self.folder / f"{self.case}_uncertainty.nii.gz"

    def clear(self) -> None:
        """Remove what an earlier run has left, the record first."""
        results = self._results
        for path in (self.record, self.left_out, *results):
            path.unlink(missing_ok=True)

    @contextmanager
    def whole_or_none(self) -> Iterator[None]:
        """Clear the place for new results, and once more where writing them fails."""
        self.clear()
        try:
            yield
        except BaseException:
            with suppress(OSError):
                self.clear()
            raise

    @property
    def present(self) -> Path | None:
        """A file that a new result would replace."""
        return next((path for path in (self.record, *self._results) if path.exists()), None)

    @property
    def _results(self) -> tuple[Path, ...]:
        """Also those of a student of other outputs, as the record has them."""
        earlier = (read_record(self.record) or {}).get("volumes_ml", {})
        probabilities = map(self.probability, dict.fromkeys((*self.outputs, *earlier)))
        return (self.report, self.dicom, self.label, self.uncertainty, *probabilities)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record of ours; None for anything else under its name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(content, dict) and content.get("format") == FORMAT
    return content if ours and {"case", "verdict", "provenance"} <= set(content) else None


def find_change(
    files: ResultFiles,
    case: Case,
    *,
    tool: str,
    bundle_sha256: str,
    scheme: str,
    wanted: Iterable[Path] = (),
    coregister: bool = False,
    hashes: Mapping[str, str] | None = None,
) -> str | None:
    """Say why the result has to be made again; None where it is whole and still true.

    The bytes of the scans are hashed anew, which takes a hundredth of what segmenting does; of
    DICOM, `hashes` has those of each channel.
    """
    record = read_record(files.record)
    if record is None:
        return "not whole"
    absent = [path.name for path in (files.label, *wanted) if not path.is_file()]
    if absent:
        return f"{absent[0]} is absent"
    if record["provenance"].get("tool") != tool:
        return "made with another version of this program"
    if record["provenance"].get("bundle", {}).get("sha256") != bundle_sha256:
        return "made with another bundle"
    if record.get("labels", {}).get("scheme") != scheme:
        return "made with other --labels"
    sequences = {**record.get("sequences", {}), **record.get("empty", {})}
    return _find_other_alignment(record, coregister=coregister) or _find_changed_scan(
        sequences, case, hashes
    )


def _find_other_alignment(record: Mapping[str, Any], *, coregister: bool) -> str | None:
    sequences = record.get("sequences", {}).values()
    registered = any("registration" in sequence for sequence in sequences)
    apart = any(reason.get("code") in APART for reason in record.get("reasons", ()))
    if registered and not coregister:
        return "made with --coregister"
    return "its sequences lie apart" if coregister and apart and not registered else None


def _find_changed_scan(
    sequences: Mapping[str, Any],
    case: Case,
    hashes: Mapping[str, str] | None,
) -> str | None:
    if set(sequences) != set(case.images):
        return "made from other sequences"
    by_file = {} if hashes else {path: _hash(path) for path in case.files}
    found = hashes or {name: by_file[image.path] for name, image in case.images.items()}
    for name in sequences:
        image = case.images[name]
        known = sequences[name].get("sha256"), sequences[name].get("channel")
        if known != (found.get(name), image.channel):
            return f"{image.path.name} has changed"
    return None


def _hash(path: Path) -> str:
    files = files_of(path)
    if not all(map(Path.is_file, files)):  # opening a pipe would wait for ever
        return ""
    try:
        return hash_files(*files)
    except OSError:
        return ""
