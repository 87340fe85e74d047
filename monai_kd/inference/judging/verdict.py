"""PASS, CHECK or REFUSE for one case, with the reasons, before any network sees it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

import numpy as np

from data_prep.case import MODALITIES
from data_prep.checks import Inspection
from data_prep.checks.alignment import alignment_faults
from data_prep.checks.coarse import coarsen
from data_prep.checks.comparisons import Placed, place
from data_prep.checks.contrast import contrast_faults
from data_prep.checks.coverage import coverage_faults
from data_prep.checks.geometry import Fault, write_mm
from data_prep.findings import SEVERITIES, Finding
from data_prep.rules import Rule, Severity

PASS, CHECK, REFUSE = "PASS", "CHECK", "REFUSE"
TRAINING_SPACING_MM = (1.0, 1.0, 1.0)  # of BraTS and of our phantoms
FAR = 2.0  # times as long or as short as in training
EMPTY = (Rule.ALL_ZERO, Rule.CONSTANT)  # a sequence without a picture is one that is missing
OF_LABELS = "4"  # second letter of a code: a label that comes along is not read
REGISTRABLE = (Rule.NOT_ALIGNED, Rule.SHAPES_DIFFER, Rule.GRIDS_DIFFER)
JUDGED_HERE = (Rule.SWAPPED,)  # anew, by more than the check of a dataset looks at


@dataclass(frozen=True)
class Reason:
    """Why a case does not simply pass: a rule of data_prep, the file's name, what was seen."""

    code: str
    severity: Severity
    file: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """As the record of a case holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """PASS, CHECK or REFUSE, and the reasons, the gravest first; a PASS may have notes."""

    name: str
    reasons: tuple[Reason, ...]

    def with_reasons(self, reasons: Sequence[Reason]) -> "Verdict":
        """The same and more warnings, which ask to check."""
        joined = sorted((*self.reasons, *reasons), key=lambda r: SEVERITIES.index(r.severity))
        return Verdict(_name(joined), tuple(joined))


def judge(
    inspection: Inspection,
    *,
    modalities: Sequence[str] = MODALITIES,
    spacing_mm: Sequence[float] | None = None,
) -> Verdict:
    """Judge a case for a student that takes `modalities`, trained on voxels of `spacing_mm`.

    Any error refuses, any warning asks to check. An empty or a missing sequence is a warning, as
    long as another one is left. What is dear is looked at only where nothing refuses already.
    """
    reasons = [*_found(inspection), *_missing(inspection, modalities)]
    if not inspection.scans:
        reasons.append(_reason(Rule.MISSING_MODALITY, "", "no sequence can be used", "error"))
    if not _any(reasons, "error"):
        reasons += _seen(inspection, spacing_mm or TRAINING_SPACING_MM)
    return Verdict(PASS, ()).with_reasons(reasons)


def _name(reasons: Sequence[Reason]) -> str:
    if _any(reasons, "error"):
        return REFUSE
    return CHECK if _any(reasons, "warning") else PASS


def _any(reasons: Sequence[Reason], severity: Severity) -> bool:
    return any(reason.severity == severity for reason in reasons)


def _found(inspection: Inspection) -> Iterator[Reason]:
    """What the check of the data has found, labels apart."""
    for finding in inspection.findings:
        if finding.rule in EMPTY:
            yield _reason(finding.rule, _file_of(finding), f"{finding.detail}; taken as missing")
        elif finding.rule not in JUDGED_HERE and finding.rule.code[1] != OF_LABELS:
            yield _reason(finding.rule, _file_of(finding), finding.detail, finding.rule.severity)


def _file_of(finding: Finding) -> str:
    return PurePosixPath(finding.file).name


def _missing(inspection: Inspection, modalities: Sequence[str]) -> Iterator[Reason]:
    absent = [name for name in modalities if name not in inspection.case.images]
    if absent and inspection.case.images:
        yield _reason(Rule.MISSING_MODALITY, "", f"{' and '.join(absent)} missing")


def _seen(inspection: Inspection, spacing_mm: Sequence[float]) -> Iterator[Reason]:
    """What is to be seen in the voxels of the sequences that lie on the grid of the first."""
    placed = {name: place(scan) for name, scan in inspection.scans.items()}
    first = next(iter(placed.values()))
    images = {name: image for name, image in placed.items() if image.grid.is_same(first.grid)}
    for name, (rule, detail) in _image_faults(images, spacing_mm):
        file = inspection.case.images[name].path.name
        yield _reason(rule, file, detail, rule.severity)


def _image_faults(
    images: Mapping[str, Placed], spacing_mm: Sequence[float]
) -> Iterator[tuple[str, Fault]]:
    name, first = next(iter(images.items()))
    ratio = first.grid.spacing_mm / np.asarray(spacing_mm, dtype=np.float64)
    if max(ratio.max(), 1 / ratio.min()) >= FAR:
        seen = f"voxels of {write_mm(first.grid.spacing_mm)} mm, in training {write_mm(spacing_mm)}"
        yield name, (Rule.FAR_SPACING, seen)
    coarse = coarsen(images)
    coverage = list(coverage_faults(images, coarse))
    yield from coverage
    if {rule for _, (rule, _) in coverage} & {Rule.NO_BRAIN, Rule.SKULL_ON}:
        return  # what follows looks at brain
    apart = list(alignment_faults(coarse))
    yield from apart or contrast_faults(coarse)  # which compares voxel by voxel


def _reason(rule: Rule, file: str, seen: str, severity: Severity = "warning") -> Reason:
    mend = f"{rule.mend}, or give --coregister" if rule in REGISTRABLE else rule.mend
    return Reason(rule.code, severity, file, f"{seen} - {mend}")
