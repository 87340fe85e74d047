"""What is written down about one case, beside its segmentation."""

import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from data_prep.checks import Inspection
from data_prep.findings import Finding
from data_prep.schemes import LabelScheme
from monai_kd.inference.intervals import Interval
from monai_kd.inference.judging.verdict import REFUSE
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.results.case_result import CaseResult
from monai_kd.inference.results.result_files import FORMAT
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.student import Student
from monai_kd.version import tool_name

NOTICE = "Research use only; not a medical device."


def build_record(result: CaseResult, *, runtime: Runtime, scheme: LabelScheme) -> dict[str, Any]:
    """Return the record of a case, ready for JSON; its mask has the values of `scheme`."""
    opened, segmentation, volumes = result.opened, result.segmentation, result.volumes_ml
    intervals, trusts = result.intervals, result.trusts
    return {
        "format": FORMAT,
        "case": opened.request.name,
        "verdict": result.verdict.name,
        "reasons": _describe_reasons(result.verdict.reasons),
        "sequences": _describe_sequences(opened),
        "empty": _describe_empty(opened.inspection),
        "missing": opened.student.missing(opened.inspection.scans),
        "labels": {
            "scheme": scheme.name,
            "values": {str(value): name for value, name in sorted(scheme.labels.items())},
        },
        "volumes_ml": {
            name: _describe_volume(volume, intervals.get(name)) for name, volume in volumes.items()
        },
        "agreement": {name: result.agreement.get(name) for name in volumes},
        "expected_dice": {name: trusts[name].dice if name in trusts else None for name in volumes},
        "lesions": [asdict(lesion) for lesion in result.lesions],
        "grid": {
            "shape": list(segmentation.label.shape),
            "affine": segmentation.reference.affine.tolist(),
        },
        "provenance": {
            "tool": tool_name(),
            "bundle": _describe_bundle(opened.student),
            "runtime": segmentation.runtime,
            "device": runtime.device,
            "threads": runtime.threads,
            "window": list(segmentation.window),
            "utc": _now(),
            "seconds": {stage: round(value, 4) for stage, value in result.seconds.items()},
            "peak_memory_mib": peak_memory_mib(),
        },
        "notice": NOTICE,
    }


def build_refusal(case: str, reasons: Sequence[Finding], student: Student) -> dict[str, Any]:
    """Return the record of a case that has no segmentation."""
    return {
        "format": FORMAT,
        "case": case,
        "verdict": REFUSE,
        "reasons": _describe_reasons(reasons),
        "provenance": {
            "tool": tool_name(),
            "bundle": _describe_bundle(student),
            "utc": _now(),
        },
        "notice": NOTICE,
    }


def peak_memory_mib() -> int | None:
    """The most memory that this process has held so far; None where it is not known."""
    with suppress(OSError):  # a child's `ru_maxrss` begins at its parent's; this does not
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
        return int(found[1]) // 2**10 if found else None
    try:
        import resource  # noqa: PLC0415  (absent from Windows)
    except ImportError:
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20


def _describe_reasons(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Of a file its name alone: a path may name the patient, or who works here."""
    return [
        {
            "code": finding.rule.code,
            "severity": finding.severity,
            "file": PurePosixPath(finding.file).name,
            "text": finding.text,
        }
        for finding in findings
    ]


def _describe_sequences(opened: OpenedCase) -> dict[str, Any]:
    """With what else is known of each: its series of DICOM, how it was registered."""
    inspection, images = opened.inspection, opened.inspection.case.images
    series = opened.dicom.series if opened.dicom else {}
    moved = opened.coregistration.movements if opened.coregistration else {}
    return {
        name: {
            "file": images[name].path.name,
            "sha256": inspection.hashes[images[name].path],
            "shape": list(scan.voxels.shape),
            "spacing_mm": np.linalg.norm(scan.affine[:3, :3], axis=0).round(4).tolist(),
            "channel": images[name].channel,
            **(series[name].describe() if name in series else {}),
            **({"registration": moved[name].as_dict()} if name in moved else {}),
        }
        for name, scan in inspection.scans.items()
    }


def _describe_empty(inspection: Inspection) -> dict[str, Any]:
    """Files of channels without a picture: were they replaced, the case would be another."""
    images, hashes = inspection.case.images, inspection.hashes
    return {
        name: {"file": image.path.name, "sha256": hashes[image.path], "channel": image.channel}
        for name, image in images.items()
        if name not in inspection.scans and image.path in hashes
    }


def _describe_volume(volume: float, interval: Interval | None) -> dict[str, float | None]:
    """An interval without an end, as of too few validation cases, is none."""
    known = interval is not None and isfinite(interval.high_ml)
    low, high = (interval.low_ml, interval.high_ml) if interval and known else (None, None)
    ends = {"value": volume, "low": low, "high": high}
    return {name: None if end is None else round(end, 3) for name, end in ends.items()}


def _describe_bundle(student: Student) -> dict[str, str]:
    return {"name": student.name, "version": student.version, "sha256": student.sha256}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
