"""PASS, CHECK or REFUSE for one case, with the reasons, before any network sees it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType

import numpy as np

from data_prep.brats.sequences import SEQUENCES, SPACING_MM, is_brain_study
from data_prep.checks import Inspection
from data_prep.checks.appearance import appearance_faults
from data_prep.checks.comparisons import Placed, place
from data_prep.checks.geometry import Fault, write_mm
from data_prep.findings import Finding, gravest_first
from data_prep.rules import EMPTY, Rule, Severity

PASS, CHECK, REFUSE = "PASS", "CHECK", "REFUSE"
_NAMES: Mapping[Severity, str] = MappingProxyType({"error": REFUSE, "warning": CHECK})
FAR = 2.0  # times as long or as short as in training
OF_LABELS = "4"  # second letter of a code: a label that comes along is not read
REGISTRABLE = (Rule.NOT_ALIGNED, Rule.SHAPES_DIFFER, Rule.GRIDS_DIFFER)


@dataclass(frozen=True)
class Verdict:
    """PASS, CHECK or REFUSE, and the reasons, the gravest first; a PASS may have notes."""

    name: str
    reasons: tuple[Finding, ...]

    def with_reasons(self, reasons: Iterable[Finding]) -> "Verdict":
        """The same and more of what was found, which may ask to check."""
        joined = gravest_first((*self.reasons, *reasons))
        return Verdict(_NAMES.get(joined[0].severity, PASS) if joined else PASS, joined)


def judge(
    inspection: Inspection,
    *,
    channels: Sequence[str] = SEQUENCES,
    spacing_mm: Sequence[float] | None = None,
) -> Verdict:
    """Judge a case for a student that takes `channels`, trained on voxels of `spacing_mm`.

    Any error refuses, any warning asks to check. An empty or a missing channel is a warning, as
    long as another one is left. What is dear is looked at only where nothing refuses already.
    """
    verdict = Verdict(PASS, ()).with_reasons([*_found(inspection), *_missing(inspection, channels)])
    if verdict.name == REFUSE:
        return verdict
    return verdict.with_reasons(_seen(inspection, channels, spacing_mm))


def _found(inspection: Inspection) -> Iterator[Finding]:
    """What the check of the data has found, labels apart."""
    for finding in inspection.findings:
        named = replace(finding, file=PurePosixPath(finding.file).name)
        if finding.rule in EMPTY:
            detail = f"{finding.detail}; taken as missing"
            yield replace(named, detail=detail, weighed="warning")
        elif finding.rule in REGISTRABLE:
            yield replace(named, advice=f"{finding.rule.fix}, or give --coregister")
        elif finding.rule.code[1] != OF_LABELS:
            yield named


def _missing(inspection: Inspection, channels: Sequence[str]) -> Iterator[Finding]:
    case, rule = inspection.case, Rule.MISSING_MODALITY
    absent = [name for name in channels if name not in case.images]
    if absent and case.images:
        yield Finding(rule, case.name, "", f"{' and '.join(absent)} missing", weighed="warning")
    if not inspection.scans:
        yield Finding(rule, case.name, "", "no sequence can be used")


def _seen(
    inspection: Inspection, channels: Sequence[str], spacing_mm: Sequence[float] | None
) -> Iterator[Finding]:
    """What is to be seen in the voxels."""
    case, stripped = inspection.case, is_brain_study(channels)
    images = {name: place(scan) for name, scan in inspection.scans.items()}
    own_mm = next(iter(images.values())).grid.spacing_mm
    trained_mm = spacing_mm or (SPACING_MM if stripped else own_mm)
    faults = [*_spacing_faults(own_mm, trained_mm), *(appearance_faults(images) if stripped else ())]
    for name, (rule, detail) in _image_faults(images, spacing_mm):
        advice = f"{rule.fix}, or give --coregister" if rule in REGISTRABLE else None
        yield Finding(rule, case.name, case.images[name].path.name, detail, advice=advice)
