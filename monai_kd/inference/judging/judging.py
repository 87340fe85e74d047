"""Whether a case is fit to be segmented, and what there is to be said of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from data_prep.checks import Inspection
from data_prep.checks.geometry import write_mm
from data_prep.findings import Finding, LeftOutError, errors_of
from data_prep.rules import Rule
from monai_kd.inference.calibration import Calibration, Trust
from monai_kd.inference.judging.verdict import REFUSE, Verdict, judge
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.requests.requests import describe_request
from monai_kd.inference.segmenting.segmentation import Segmentation
from monai_kd.inference.student import Student
from monai_kd.inference.volumes import measure_foreground

UNCALIBRATED = "the bundle is not calibrated: how far to trust it is not known"


def judge_case(opened: OpenedCase, calibration: Calibration | None = None) -> Verdict:
    """Judge a case before any network sees it; raise a LeftOutError where that refuses."""
    inspection, student = opened.ready, opened.student
    verdict = judge(inspection, channels=student.channels, spacing_mm=student.spacing_mm)
    if verdict.name == REFUSE:
        raise LeftOutError(verdict.reasons)
    missing = student.missing(inspection.scans)
    if missing and not (student.takes_gaps and opened.scans):
        raise LeftOutError(_explain_missing(inspection, student, missing))
    found = [*opened.coregistration.findings] if opened.coregistration else []
    if calibration is None:
        found.append(Finding(Rule.UNCALIBRATED, inspection.case.name, "", UNCALIBRATED))
    elif student.has_known_looks:
        found += _judge_size(opened, calibration)
    if missing:
        trust = _describe_trust(calibration, opened.scans, student)
        found.append(Finding(Rule.FEW_SEQUENCES, inspection.case.name, "", trust))
    return verdict.with_reasons(found)


def judge_agreement(
    case: str, agreement: Mapping[str, float], trusts: Mapping[str, Trust]
) -> Iterator[Finding]:
    """Say of which outputs two opinions differ more than they did on any validation case."""
    apart = {name: agreement[name] for name in trusts if not trusts[name].knows(agreement[name])}
    if apart:
        found = ", ".join(f"{name} {value:.2f}" for name, value in apart.items())
        least = ", ".join(f"{trusts[name].agreement:.2f}" for name in apart)
        seen = f"two opinions agree less than on any validation case: {found} (Dice; least {least})"
        yield Finding(Rule.OPINIONS_DIFFER, case, "", seen)


def judge_windows(case: str, *opinions: Segmentation | None) -> Iterator[Finding]:
    """Say that the image was not seen as a whole, and so not as in the bundle's own figures."""
    windows = max(opinion.windows for opinion in opinions if opinion is not None)
    if windows > 1:
        yield Finding(
            Rule.IN_WINDOWS, case, "", f"segmented in {windows} windows for want of memory"
        )


def describe_opened(opened: OpenedCase) -> list[str]:
    """Say in lines which sequences were found, by which names, and of what voxels."""
    first = next(iter(opened.inspection.scans.values()), None)
    line = describe_request(opened.request)
    if first is None:
        return [line]
    spacing = np.linalg.norm(first.affine[:3, :3], axis=0)
    same = bool(np.ptp(spacing) < 1e-3)
    lines = [f"{line}  {write_mm(spacing[:1] if same else spacing)} mm"]
    if opened.dicom is not None:
        lines += [f"  {name}: {series}" for name, series in opened.dicom.mapping.items()]
        lines += [f"  {note}" for note in opened.dicom.notes]
    return lines


def _explain_missing(
    inspection: Inspection, student: Student, missing: Sequence[str]
) -> list[Finding]:
    """Name the files without a picture, if that is why; else what was found and what was not."""
    empty = errors_of(inspection.findings)
    if empty:
        return [replace(finding, file=PurePosixPath(finding.file).name) for finding in empty]
    found = ", ".join(inspection.scans) or "nothing"
    needed = ", ".join(student.channels)
    detail = f"{found} found, {', '.join(missing)} missing; this student needs {needed}"
    return [Finding(Rule.MISSING_MODALITY, inspection.case.name, "", detail)]


def _judge_size(opened: OpenedCase, calibration: Calibration) -> Iterator[Finding]:
    """Say of a case that it is larger or smaller than all on which the student was tried."""
    found_ml = measure_foreground(opened.scans[opened.reference])
    if not calibration.knows(found_ml):
        smallest, largest = calibration.foreground_ml
        seen = f"{found_ml:.0f} ml are not 0, in validation {smallest:.0f} to {largest:.0f} ml"
        yield Finding(Rule.UNUSUAL_SIZE, opened.request.name, "", seen)


def _describe_trust(
    calibration: Calibration | None, present: Collection[str], student: Student
) -> str:
    """How far each output can be trusted without the channels that are missing."""
    trusts = calibration.of(present) if calibration else {}
    known = {name: trust.dice for name, trust in trusts.items() if trust.dice is not None}
    if calibration is None or not known:
        return "how good a result is without the missing sequences was not measured"
    whole = calibration.of(student.channels)
    dice = ", ".join(
        f"{name} {value:.2f} (with all {whole[name].dice or 0:.2f})"
        for name, value in known.items()
    )
    return f"Dice on {calibration.cases} validation cases with as few sequences: {dice}"
