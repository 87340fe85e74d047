"""Whether a case is fit to be segmented, and what there is to be said of it."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from data_prep.checks import Inspection
from data_prep.checks.geometry import write_mm
from data_prep.findings import errors_of
from data_prep.rules import Rule
from monai_kd.inference.calibration import Calibration, Trust
from monai_kd.inference.judging.failures import LeftOutError, reasons_of
from monai_kd.inference.judging.verdict import REFUSE, Reason, Verdict, judge
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.requests.requests import describe_request
from monai_kd.inference.segmenting.segmentation import Segmentation
from monai_kd.inference.student import Student
from monai_kd.inference.volumes import measure_brain

UNCALIBRATED = (
    "the bundle is not calibrated: how far to trust it is not known - "
    "run monai-kd calibrate on labelled cases"
)


def check_names(opened: OpenedCase) -> None:
    """Raise a LeftOutError where the names of a case's files alone are wrong."""
    if opened.request.findings:
        raise LeftOutError(reasons_of(opened.request.findings))


def judge_case(
    opened: OpenedCase, student: Student, calibration: Calibration | None = None
) -> Verdict:
    """Judge a case before any network sees it; raise a LeftOutError where that refuses."""
    inspection = opened.ready
    verdict = judge(inspection, modalities=student.modalities, spacing_mm=student.spacing_mm)
    if verdict.name == REFUSE:
        raise LeftOutError(verdict.reasons)
    missing = student.missing(inspection.scans)
    if missing and not student.takes_gaps:
        raise LeftOutError(_tell_missing(inspection, student, missing))
    reasons = [*opened.coregistration.reasons] if opened.coregistration else []
    if calibration is None:
        reasons.append(Reason("N709", "note", "", UNCALIBRATED))
    else:
        reasons += _tell_size(inspection, student, calibration)
    if missing:
        reasons.append(_tell_trust(calibration, student.among(inspection.scans), student))
    return verdict.with_reasons(reasons)


def tell_disagreement(
    agreement: Mapping[str, float], trusts: Mapping[str, Trust]
) -> Iterator[Reason]:
    """Say of which regions two opinions differ more than they did on any validation case."""
    apart = {name: agreement[name] for name in trusts if not trusts[name].knows(agreement[name])}
    if apart:
        found = ", ".join(f"{name} {value:.2f}" for name, value in apart.items())
        least = ", ".join(f"{trusts[name].agreement:.2f}" for name in apart)
        told = f"two opinions agree less than on any validation case: {found} (Dice; least {least})"
        yield Reason("W710", "warning", "", f"{told} - do not rely on it: the scan is unlike those")


def tell_windows(*opinions: Segmentation | None) -> list[Reason]:
    """Say that the brain was not seen as a whole, and so not as in the bundle's own figures."""
    windows = max(opinion.windows for opinion in opinions if opinion is not None)
    if windows == 1:
        return []
    mend = "close other programs, or give more by --max-ram, with --overwrite"
    told = f"segmented in {windows} windows for want of memory - {mend}"
    return [Reason("W707", "warning", "", told)]


def describe_opened(opened: OpenedCase) -> list[str]:
    """Say in lines which sequences were found, by which names, and of what voxels."""
    first = next(iter(opened.inspection.scans.values()), None)
    line = describe_request(opened.request)
    if first is None:
        return [line]
    spacing = np.linalg.norm(first.affine[:3, :3], axis=0)
    same = bool(np.ptp(spacing) < 1e-3)
    told = [f"{line}  {write_mm(spacing[:1] if same else spacing)} mm"]
    if opened.dicom is not None:
        told += [f"  {name}: {series}" for name, series in opened.dicom.mapping.items()]
        told += [f"  {note}" for note in opened.dicom.notes]
    return told


def _tell_missing(inspection: Inspection, student: Student, missing: list[str]) -> list[Reason]:
    """Name the files without a picture, if that is why; else what was found and what was not."""
    empty = errors_of(inspection.findings)
    if empty:
        return reasons_of(empty)
    found = ", ".join(inspection.scans) or "nothing"
    needed = ", ".join(student.modalities)
    detail = f"{found} found, {', '.join(missing)} missing; this student needs {needed}"
    rule = Rule.MISSING_MODALITY
    return [Reason(rule.code, rule.severity, "", f"{detail} - {rule.mend}")]


def _tell_size(inspection: Inspection, student: Student, calibration: Calibration) -> list[Reason]:
    """Say of a brain that it is unlike those on which the student was tried."""
    reference = inspection.scans[student.among(inspection.scans)[0]]
    brain_ml = measure_brain(reference.voxels, reference.affine)
    if calibration.knows(brain_ml):
        return []
    smallest, largest = calibration.brain_ml
    told = f"a brain of {brain_ml:.0f} ml, in validation {smallest:.0f} to {largest:.0f} ml"
    mend = "calibrate the bundle on cases like this one, or do not rely on it"
    return [Reason("W708", "warning", "", f"{told} - {mend}")]


def _tell_trust(
    calibration: Calibration | None, present: Collection[str], student: Student
) -> Reason:
    """How far each region can be trusted without the sequences that are missing."""
    trusts = calibration.of(present) if calibration else {}
    known = {region: trust.dice for region, trust in trusts.items() if trust.dice is not None}
    if calibration is None or not known:
        text = "how good a result is without them was not measured - run monai-kd calibrate"
        return Reason("W705", "warning", "", text)
    whole = calibration.of(student.modalities)
    dice = ", ".join(
        f"{region} {value:.2f} (with all {whole[region].dice or 0:.2f})"
        for region, value in known.items()
    )
    text = f"Dice on {calibration.cases} validation cases with as few sequences: {dice}"
    return Reason("W705", "warning", "", f"{text} - add the missing ones, or trust it as far")
