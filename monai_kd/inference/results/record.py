"""What is written down about one case, beside its segmentation."""

import platform
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from data_prep.checks import Inspection
from data_prep.findings import Finding
from data_prep.schemes import LabelScheme
from monai_kd.inference.intervals import Interval
from monai_kd.inference.judging.verdict import REFUSE, Verdict
from monai_kd.inference.results.lesions import Lesion
from monai_kd.inference.results.result_files import FORMAT
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.segmentation import Segmentation
from monai_kd.inference.student import Student

NOTICE = "Research use only; not a medical device."
REGIONS = ("WT", "TC", "ET")


def build_record(  # noqa: PLR0913  (what is known of a case, from all who know something)
    inspection: Inspection,
    segmentation: Segmentation,
    *,
    verdict: Verdict,
    student: Student,
    runtime: Runtime,
    scheme: LabelScheme,
    volumes: Mapping[str, float],
    lesions: Sequence[Lesion] = (),
    intervals: Mapping[str, Interval] | None = None,
    agreement: Mapping[str, float] | None = None,
    expected_dice: Mapping[str, float | None] | None = None,
    origins: Mapping[str, Mapping[str, Any]] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the record of a segmented case, ready for JSON; volumes are those of the mask.

    `origins` replace or add what is told of each sequence.
    """
    regions = [region for region in REGIONS if region in volumes]
    return {
        "format": FORMAT,
        "case": inspection.case.name,
        "verdict": verdict.name,
        "reasons": _describe_reasons(verdict.reasons),
        "sequences": _describe_sequences(inspection, origins or {}),
        "empty": _describe_empty(inspection),
        "missing": student.missing(inspection.scans),
        "labels": {
            "scheme": scheme.name,
            "values": {str(value): name for value, name in sorted(scheme.labels.items())},
        },
        "volumes_ml": {
            region: _describe_volume(volumes[region], (intervals or {}).get(region))
            for region in regions
        },
        "agreement": {region: (agreement or {}).get(region) for region in regions},
        "expected_dice": {region: (expected_dice or {}).get(region) for region in regions},
        "lesions": [lesion.as_dict() for lesion in lesions],
        "grid": {
            "shape": list(segmentation.label.shape),
            "affine": segmentation.reference.affine.tolist(),
        },
        "provenance": {
            "tool": tool_name(),
            "bundle": _describe_bundle(student),
            "runtime": segmentation.runtime,
            "device": runtime.device,
            "threads": runtime.threads,
            "window": list(segmentation.window),
            "utc": _now(),
            "seconds": _rounded({**(seconds or {}), **segmentation.seconds}),
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


def tool_name() -> str:
    """Name this program and its version."""
    try:
        return f"monai_kd {version('monai_kd')}"
    except PackageNotFoundError:  # run from its folder
        return "monai_kd"


def peak_memory_mib() -> int | None:
    """The most memory that this process has held so far; None where nobody can tell."""
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


def _describe_sequences(
    inspection: Inspection, origins: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    images = inspection.case.images
    return {
        name: {
            "file": images[name].path.name,
            "sha256": inspection.hashes[images[name].path],
            "shape": list(scan.voxels.shape),
            "spacing_mm": np.linalg.norm(scan.affine[:3, :3], axis=0).round(4).tolist(),
            "channel": images[name].channel,
            **origins.get(name, {}),
        }
        for name, scan in inspection.scans.items()
    }


def _describe_empty(inspection: Inspection) -> dict[str, Any]:
    """Files of sequences without a picture: were they replaced, the case would be another."""
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


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 4) for stage, value in seconds.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
