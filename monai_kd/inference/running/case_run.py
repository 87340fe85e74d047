"""One case from its scans to the files of its result."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.checks import Inspection
from data_prep.errors import DatasetError
from data_prep.files import write_json
from data_prep.findings import Finding
from data_prep.rules import Rule
from data_prep.scans.grid import Grid
from data_prep.schemes import LabelScheme
from monai_kd.inference.calibration import Calibration, Trust
from monai_kd.inference.judging.judging import (
    check_names,
    describe_opened,
    judge_agreement,
    judge_case,
    judge_windows,
)
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.judging.verdict import Verdict
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.results.dicom_segmentation import Algorithm, write_dicom_segmentation
from monai_kd.inference.results.lesions import Lesion, find_lesions
from monai_kd.inference.results.record import build_record
from monai_kd.inference.results.result_files import ResultFiles
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.segmenting.agreement import MirroredRuntime, measure_agreement
from monai_kd.inference.segmenting.preparation import Prepared
from monai_kd.inference.segmenting.segmentation import (
    Segmentation,
    prepare,
    segment,
    write_label,
    write_probabilities,
    write_uncertainty,
)
from monai_kd.inference.student import Student
from monai_kd.inference.volumes import measure_volumes

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
    keep_uncertainty: bool = False
    calibration: Calibration | None = None
    twins: Twins = field(default_factory=Twins)

    def __call__(self, opened: OpenedCase, tell: Callable[[str], None]) -> Record:
        """Segment a case and write its mask and then its record, which stands for both.

        Raise a LeftOutError where it is not fit to be segmented.
        """
        check_names(opened)
        for line in describe_opened(opened):
            tell(line)
        start = time.perf_counter()
        twins = self.twins.find(opened.inspection)
        verdict = judge_case(opened, self.student, self.calibration).with_reasons(twins)
        stages = {"read": opened.seconds, "judge": time.perf_counter() - start}
        start = time.perf_counter()
        prepared = prepare(opened.ready, self.student, self.runtime, most_bytes=self.most_bytes)
        stages["prepare"] = time.perf_counter() - start
        segmentation = self._segment(opened.ready, prepared, self.runtime)
        start = time.perf_counter()
        reference = segmentation.reference
        lesions = find_lesions(
            segmentation.regions,
            segmentation.grid,
            Grid(reference.shape, reference.affine),
            logits=segmentation.logits,
        )
        segmentation.seconds["lesions"] = time.perf_counter() - start
        second = self._ask_again(opened.ready, prepared, segmentation)
        agreement = measure_agreement(segmentation.regions, second.regions) if second else {}
        trusts = self._find_trusts(opened.ready)
        verdict = verdict.with_reasons(
            [
                *judge_windows(opened.request.name, segmentation, second),
                *judge_agreement(opened.request.name, agreement, trusts),
            ]
        )
        files = ResultFiles(self.output, opened.request.name)
        files.clear()
        written = time.perf_counter()
        try:
            write_label(segmentation, files.label, self.scheme)
            if opened.dicom is not None:
                verdict = self._write_dicom(opened, segmentation, files.dicom, verdict)
            if self.keep_probabilities:
                write_probabilities(segmentation, files.probability)
            if self.keep_uncertainty:
                write_uncertainty(
                    segmentation, join_opinions(segmentation, second), files.uncertainty
                )
            stages["write"] = time.perf_counter() - written
            record = self._describe(
                opened, segmentation, agreement, trusts, verdict, lesions, stages
            )
            if self.keep_uncertainty:
                record["uncertainty"] = {"file": files.uncertainty.name}
            write_json(files.record, record)
        except BaseException:
            with suppress(OSError):
                files.clear()
            raise
        return record

    def _segment(
        self, inspection: Inspection, prepared: Prepared, runtime: Runtime
    ) -> Segmentation:
        return segment(
            inspection,
            self.student,
            runtime,
            most_bytes=self.most_bytes,
            prepared=prepared,
            keep_probabilities=self.keep_probabilities or self.keep_uncertainty,
        )

    def _write_dicom(
        self, opened: OpenedCase, segmentation: Segmentation, path: Path, verdict: Verdict
    ) -> Verdict:
        """Write the mask as DICOM, too; headers that do not do for it are a reason to check."""
        student, scans = self.student, opened.inspection.scans
        reference = student.among(scans)[0]
        try:
            write_dicom_segmentation(
                segmentation.label,
                opened.dicom.series[reference],  # type: ignore[union-attr]  # a DICOM case has it
                path,
                scheme=segmentation.scheme,
                algorithm=Algorithm(student.name, student.version, student.sha256),
            )
        except DatasetError as error:
            detail, name = f"no DICOM segmentation: {error}", opened.request.name
            return verdict.with_reasons([Finding(Rule.NO_DICOM_MASK, name, "", detail, advice="")])
        return verdict

    def _ask_again(
        self, inspection: Inspection, prepared: Prepared, first: Segmentation
    ) -> Segmentation | None:
        if self.calibration is None:
            return None
        start = time.perf_counter()
        second = self._segment(inspection, prepared, MirroredRuntime(self.runtime))
        first.seconds["second opinion"] = time.perf_counter() - start
        return second

    def _find_trusts(self, inspection: Inspection) -> Mapping[str, Trust]:
        if self.calibration is None:
            return {}
        return self.calibration.of(self.student.among(inspection.scans))

    def _describe(
        self,
        opened: OpenedCase,
        segmentation: Segmentation,
        agreement: Mapping[str, float],
        trusts: Mapping[str, Trust],
        verdict: Verdict,
        lesions: Sequence[Lesion],
        stages: Mapping[str, float],
    ) -> Record:
        start, inspection = time.perf_counter(), opened.inspection
        affine = segmentation.reference.affine
        volumes = measure_volumes(segmentation.label, affine, segmentation.scheme)
        intervals = {
            region: trust.interval(volumes[region], agreement=agreement[region])
            for region, trust in trusts.items()
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
            expected_dice={region: trust.dice for region, trust in trusts.items()},
            origins=describe_origins(opened),
            seconds={**stages, "measure": time.perf_counter() - start},
        )


def join_opinions(
    first: Segmentation, second: Segmentation | None
) -> dict[str, NDArray[np.float32]]:
    """The mean probability of both opinions, which is near a half where they differ."""
    own, other = first.probabilities or {}, (second.probabilities if second else None) or {}
    half = np.float32(0.5)
    return {name: half * own[name] + half * other.get(name, own[name]) for name in own}


def describe_origins(opened: OpenedCase) -> dict[str, dict[str, Any]]:
    """What else is known of each sequence: its series of DICOM, how it was registered."""
    told: dict[str, dict[str, Any]] = {name: {} for name in opened.inspection.scans}
    for name, series in (opened.dicom.series if opened.dicom else {}).items():
        if name in told:
            told[name] |= series.describe()
    for name, moved in (opened.coregistration.movements if opened.coregistration else {}).items():
        told[name]["registration"] = moved.as_dict()
    return told
