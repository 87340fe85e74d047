"""A case that was read and checked, segmented as predict does it."""

from typing import Any

from data_prep.checks import Inspection
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.segmentation import Segmentation, prepare, segment
from monai_kd.inference.student import Student

PLENTY = 2**32


def segment_case(
    inspection: Inspection,
    student: Student,
    runtime: Runtime,
    *,
    most_bytes: int = PLENTY,
    **options: Any,
) -> Segmentation:
    scans = {name: inspection.scans[name] for name in student.among(inspection.scans)}
    prepared = prepare(scans, student, runtime, most_bytes=PLENTY)
    reference = next(iter(scans.values()))
    options |= {"student": student, "runtime": runtime, "most_bytes": most_bytes}
    return segment(prepared, reference, **options)
