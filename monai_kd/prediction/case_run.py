"""One case from its scans to the files of its result."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from isal import igzip_lib

from data_prep.checks import Inspection
from data_prep.checks.geometry import write_mm
from data_prep.errors import DatasetError
from data_prep.files import write_bytes, write_json
from data_prep.findings import errors_of
from data_prep.rules import Rule
from data_prep.schemes import LabelScheme
from monai_kd.prediction.agreement import MirroredRuntime, measure_agreement
from monai_kd.prediction.dicom_segmentation import Algorithm, write_dicom_segmentation
from monai_kd.prediction.failures import LeftOutError, reasons_of
from monai_kd.prediction.intervals import Calibration, read_calibration
from monai_kd.prediction.lesions import find_lesions
from monai_kd.prediction.opened_case import OpenedCase
from monai_kd.prediction.record import build_record
from monai_kd.prediction.requests import describe_request
from monai_kd.prediction.result_files import ResultFiles
from monai_kd.prediction.runtimes import Runtime
from monai_kd.prediction.segmentation import Segmentation, segment, write_label
from monai_kd.prediction.student import Student
from monai_kd.prediction.verdict import CHECK, REFUSE, Reason, Verdict, judge
from monai_kd.prediction.volumes import measure_volumes

Record = dict[str, Any]


@dataclass(frozen=True)
class CaseRun:
    """How each case of a run is segmented, and what is written of it into `output`.

    With a `calibration`, a second opinion, of the mirrored image, is asked for: the intervals of
    the volumes are the narrower the more both agree.
    """

    student: Student
    runtime: Runtime
    scheme: LabelScheme
    output: Path
    most_bytes: int
    keep_probabilities: bool = False
    calibration: Calibration | None = None

    def __call__(self, opened: OpenedCase, tell: Callable[[str], None]) -> Record:
        """Segment a case and write its mask and then its record, which stands for both.

        Raise a LeftOutError where it is not fit to be segmented.
        """
        check_names(opened)
        inspection = opened.inspection
        for line in describe_opened(opened):
            tell(line)
        start = time.perf_counter()
        verdict = judge_case(opened, self.student)
        judged = time.perf_counter() - start
        segmentation = self._segment(inspection, self.runtime)
        agreement = self._ask_again(inspection, segmentation)
        files = ResultFiles(self.output, opened.request.name)
        files.clear()
        written = time.perf_counter()
        try:
            stages = {"read": opened.seconds, "judge": judged}
            write_label(segmentation, files.label, self.scheme)
            if opened.dicom is not None:
                verdict = self._write_dicom(opened, segmentation, files.dicom, verdict)
            if self.keep_probabilities:
                write_probabilities(segmentation, files)
            stages["write"] = time.perf_counter() - written
            record = self._describe(inspection, segmentation, verdict, agreement, stages)
            write_json(files.record, record)
        except BaseException:
            with suppress(OSError):
                files.clear()
            raise
        return record

    def _segment(self, inspection: Inspection, runtime: Runtime) -> Segmentation:
        return segment(
            inspection,
            self.student,
            runtime,
            most_bytes=self.most_bytes,
            keep_probabilities=self.keep_probabilities,
        )

    def _write_dicom(
        self, opened: OpenedCase, segmentation: Segmentation, path: Path, verdict: Verdict
    ) -> Verdict:
        """Write the mask as DICOM, too; headers that do not do for it are a reason to check."""
        student, scans = self.student, opened.inspection.scans
        reference = next(name for name in student.modalities if name in scans)
        try:
            write_dicom_segmentation(
                segmentation.label,
                opened.dicom.series[reference],  # type: ignore[union-attr]  # a DICOM case has it
                path,
                scheme=segmentation.scheme,
                algorithm=Algorithm(student.name, student.version, student.sha256),
            )
        except DatasetError as error:
            reason = Reason("W704", "warning", "", f"no DICOM segmentation: {error}")
            return Verdict(CHECK, (reason, *verdict.reasons))
        return verdict

    def _ask_again(self, inspection: Inspection, first: Segmentation) -> dict[str, float]:
        if self.calibration is None:
            return {}
        start = time.perf_counter()
        second = self._segment(inspection, MirroredRuntime(self.runtime))
        first.seconds["second opinion"] = time.perf_counter() - start
        return measure_agreement(first.regions, second.regions)

    def _describe(
        self,
        inspection: Inspection,
        segmentation: Segmentation,
        verdict: Verdict,
        agreement: Mapping[str, float],
        stages: Mapping[str, float],
    ) -> Record:
        start = time.perf_counter()
        affine = segmentation.reference.affine
        volumes = measure_volumes(segmentation.label, affine, segmentation.scheme)
        lesions = find_lesions(segmentation.regions, segmentation.grid, segmentation.probabilities)
        intervals = {
            region: self.calibration.interval(region, volume, agreement=agreement[region])
            for region, volume in volumes.items()
            if self.calibration is not None
            and inspection.scans.keys() >= {*self.student.modalities}
        }
        return build_record(
            inspection,
            segmentation,
            verdict=verdict,
            student=self.student,
            runtime=self.runtime,
            scheme=self.scheme,
            volumes=volumes,
            lesions=lesions,
            intervals=intervals,
            agreement=agreement,
            seconds={**stages, "measure": time.perf_counter() - start},
        )


def check_names(opened: OpenedCase) -> None:
    """Raise a LeftOutError where the names of a case's files alone are wrong."""
    if opened.request.findings:
        raise LeftOutError(reasons_of(opened.request.findings))


def judge_case(opened: OpenedCase, student: Student) -> Verdict:
    """Judge a case before any network sees it; raise a LeftOutError where that refuses."""
    inspection = opened.inspection
    verdict = judge(inspection, modalities=student.modalities, spacing_mm=student.spacing_mm)
    if verdict.name == REFUSE:
        raise LeftOutError(verdict.reasons)
    missing = [name for name in student.modalities if name not in inspection.scans]
    if missing and not accepts_gaps(student):
        raise LeftOutError(_tell_missing(inspection, student, missing))
    return verdict


def accepts_gaps(student: Student) -> bool:
    """Tell whether the student was trained on cases of which sequences were missing."""
    share = _read_metadata(student).get("modality_dropout", 0)
    return isinstance(share, int | float) and share > 0


def find_calibration(student: Student) -> Calibration | None:
    """Return what the bundle has learnt of its volumes from validation cases, if anything."""
    content = _read_metadata(student).get("calibration")
    try:
        return read_calibration(content) if isinstance(content, dict) else None
    except ValueError as error:
        raise DatasetError(f"{student.folder}: {error}") from error


def _read_metadata(student: Student) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        (student.folder / "configs" / "metadata.json").read_bytes()
    )
    return content


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


def write_probabilities(segmentation: Segmentation, files: ResultFiles) -> None:
    """Write one file per region, in the student's own voxels, which any viewer can lay over."""
    for region, chances in (segmentation.probabilities or {}).items():
        image = nibabel.Nifti1Image(np.asarray(chances, np.float32), segmentation.grid.affine)
        image.header.set_xyzt_units("mm")
        write_bytes(files.probability(region), _compress(image.to_bytes()))


def _compress(content: bytes) -> bytes:
    packed: bytes = igzip_lib.compress(content, 1, igzip_lib.COMP_GZIP)
    return packed


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
