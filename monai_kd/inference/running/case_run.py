"""One case from its scans to the files of its result."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from data_prep.errors import DatasetError
from data_prep.files import write_json
from data_prep.findings import Finding, LeftOutError
from data_prep.rules import Rule
from data_prep.scans.grid import Grid
from monai_kd.inference.calibration import Calibration
from monai_kd.inference.judging.judging import (
    describe_opened,
    judge_agreement,
    judge_case,
    judge_windows,
)
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.judging.verdict import Verdict
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.results.case_result import CaseResult
from monai_kd.inference.results.dicom_segmentation import Algorithm, write_dicom_segmentation
from monai_kd.inference.results.lesions import Lesion, find_lesions
from monai_kd.inference.results.record import build_record
from monai_kd.inference.results.result_files import ResultFiles
from monai_kd.inference.running.job import Job
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.agreement import (
    MirroredRuntime,
    join_opinions,
    measure_agreement,
)
from monai_kd.inference.segmenting.preparation import Prepared
from monai_kd.inference.segmenting.segmentation import (
    Segmentation,
    count_excess,
    prepare,
    segment,
    write_label,
    write_probabilities,
    write_uncertainty,
)
from monai_kd.inference.stopwatch import Stopwatch
from monai_kd.inference.volumes import measure_volumes

Say = Callable[[str], None]
Record = dict[str, Any]


@dataclass(frozen=True)
class CaseRun:
    """How each case of a job is segmented.

    With a `calibration`, a second opinion, of the mirrored image, is asked for: the intervals of
    the volumes are the narrower the more both agree.
    """

    job: Job
    runtime: Runtime
    most_bytes: int
    calibration: Calibration | None = None
    twins: Twins = field(default_factory=Twins)

    def __call__(self, opened: OpenedCase, say: Say) -> Record:
        """Segment a case and write its mask and then its record, which stands for both.

        Raise a LeftOutError where it is not fit to be segmented.
        """
        watch = Stopwatch(read=opened.seconds)
        verdict, prepared = self.prepare(opened, say, watch)
        first = self._segment(opened, prepared, self.runtime)
        watch.add(first.seconds)
        lesions = _find_lesions(first)  # before the runtime overwrites the logits
        watch.note("lesions")
        second = None
        if self.calibration is not None:
            second = self._segment(opened, prepared, MirroredRuntime(self.runtime))
            watch.note("second opinion")
        result = self._measure(CaseResult(opened, first, verdict, lesions), second)
        watch.note("measure")
        files = self.job.files_of(opened.request.name)
        with files.whole_or_none():
            result = self._write_masks(result, second, files)
            watch.note("write")
            record = build_record(
                replace(result, seconds=watch.seconds), runtime=self.runtime, scheme=self.job.scheme
            )
            if self.job.uncertainty:
                record["uncertainty"] = {"file": files.uncertainty.name}
            write_json(files.record, record)
        return record

    def prepare(self, opened: OpenedCase, say: Say, watch: Stopwatch) -> tuple[Verdict, Prepared]:
        """Judge a case, and bring it to what the network reads."""
        if opened.request.findings:
            raise LeftOutError(opened.request.findings)
        for line in describe_opened(opened):
            say(line)
        twins = self.twins.find(opened.inspection)
        verdict = judge_case(opened, self.calibration).with_reasons(twins)
        watch.note("judge")
        prepared = prepare(opened.scans, self.job.student, self.runtime, most_bytes=self.most_bytes)
        watch.note("prepare")
        return verdict, prepared

    def spare_bytes(self, opened: OpenedCase) -> int:
        """What is left for the network beside the scans."""
        return self.most_bytes - count_excess(opened.ready.scans.values())

    def _segment(self, opened: OpenedCase, prepared: Prepared, runtime: Runtime) -> Segmentation:
        return segment(
            prepared,
            opened.scans[opened.reference],
            student=self.job.student,
            runtime=runtime,
            most_bytes=self.spare_bytes(opened),
            keep_probabilities=self.job.probabilities or self.job.uncertainty,
        )

    def _measure(self, result: CaseResult, second: Segmentation | None) -> CaseResult:
        """Add volumes, how far two opinions agree, and what is to be said of that."""
        opened, first = result.opened, result.segmentation
        name, agreement = opened.request.name, None
        trusts = self.calibration.of(opened.scans) if self.calibration else {}
        if second is not None:
            agreement = measure_agreement(first.masks, second.masks)
        found = [
            *(() if first.prepared.window else judge_windows(name, first, second)),
            *judge_agreement(name, agreement or {}, trusts),
        ]
        return replace(
            result,
            verdict=result.verdict.with_reasons(found),
            volumes_ml=measure_volumes(first.label, first.reference.affine, first.scheme),
            agreement=agreement or {},
            trusts=trusts,
        )

    def _write_masks(
        self, result: CaseResult, second: Segmentation | None, files: ResultFiles
    ) -> CaseResult:
        """Write all but the record; the verdict may change."""
        first = result.segmentation
        write_label(first, files.label, self.job.scheme)
        if result.opened.dicom is not None:
            result = replace(
                result, verdict=result.verdict.with_reasons(_write_dicom(result, files))
            )
        if self.job.probabilities:
            write_probabilities(first, files.probability)
        if self.job.uncertainty:
            own, other = first.probabilities or {}, second and second.probabilities
            joined = join_opinions(own, other) if other else own
            write_uncertainty(first, joined, files.uncertainty)
        return result


def _find_lesions(found: Segmentation) -> list[Lesion]:
    stored = Grid(found.reference.shape, found.reference.affine)
    confidence = found.measure_confidence
    return find_lesions(found.masks, found.grid, stored, measure_confidence=confidence)


def _write_dicom(result: CaseResult, files: ResultFiles) -> Iterator[Finding]:
    """Write the mask as DICOM, too; headers that do not do for it are a reason to check."""
    opened, found = result.opened, result.segmentation
    student, series = opened.student, opened.dicom.series if opened.dicom else {}
    try:
        write_dicom_segmentation(
            found.label,
            series[opened.reference],
            files.dicom,
            scheme=found.scheme,
            algorithm=Algorithm(student.name, student.version, student.sha256),
        )
    except DatasetError as error:
        detail = f"no DICOM segmentation: {error}"
        yield Finding(Rule.NO_DICOM_MASK, opened.request.name, "", detail, advice="")
