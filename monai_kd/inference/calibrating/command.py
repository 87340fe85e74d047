"""The command `calibrate`: how good a student is on labelled cases goes into its bundle."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.case import Case, Dataset
from data_prep.command_line import add_source, find_source
from data_prep.errors import DatasetError
from data_prep.findings import LeftOutError
from data_prep.layouts.channels import rename_channels
from data_prep.scans import Scan
from data_prep.schemes import LabelScheme
from monai_kd.inference.budget import count_threads, measure_free_memory
from monai_kd.inference.calibrating.validation import (
    ComparedCase,
    calibrate,
    compare_case,
    list_subsets,
    read_truth,
)
from monai_kd.inference.calibration import Calibration, calibration_file, write_calibration
from monai_kd.inference.intervals import LEVEL
from monai_kd.inference.judging.failures import explain, write_line
from monai_kd.inference.judging.verdict import REFUSE, judge
from monai_kd.inference.requests.opened_case import OpenedCase, open_case
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.screen import Screen
from monai_kd.inference.student import Student, read_student
from monai_kd.inference.volumes import measure_foreground

LEAST_CASES = 9  # of fewer, the 90 % intervals have no end


def add_calibrate(commands: Any) -> None:
    """Add `calibrate` to a parser's commands."""
    parser = commands.add_parser(
        "calibrate",
        help="measure the accuracy of a student on labelled cases",
        description="Segment labelled cases as `predict` does and write to the bundle the Dice of "
        "each output, for every subset of channels that the student accepts, and the width of the "
        f"{LEVEL:.0%} intervals of its volumes. Use at least {LEAST_CASES} cases that were not "
        "used for training; the intervals hold for cases like them. Research use only; not a "
        "medical device.",
    )
    add_source(parser)
    parser.add_argument(
        "--bundle", type=Path, required=True, metavar="DIR", help="bundle of the student"
    )
    parser.add_argument("--quiet", action="store_true", help="report failures only")
    parser.set_defaults(run=_calibrate)


@dataclass(frozen=True)
class Validation:
    """Compares the cases of a dataset with their labels, one by one."""

    dataset: Dataset
    scheme: LabelScheme
    student: Student
    runtime: Runtime
    most_bytes: int

    def compare(self, case: Case) -> ComparedCase:
        """Segment a case from every subset; a DatasetError where it is not fit for that."""
        opened = open_case(Request(case.name, case, self.dataset), self.student)
        truth = read_truth(_find_label(opened), self.scheme)
        seen = {
            present: compare_case(
                {name: scan for name, scan in opened.scans.items() if name in present},
                truth,
                student=self.student,
                runtime=self.runtime,
                most_bytes=self.most_bytes,
            )
            for present in list_subsets(self.student.channels)
            if self.student.takes_gaps or len(present) == len(self.student.channels)
        }
        return ComparedCase(measure_foreground(opened.scans[opened.reference]), seen)


def _calibrate(options: argparse.Namespace) -> int:
    student = read_student(options.bundle)
    dataset = rename_channels(find_source(options), student.channels)
    labelled = [case for case in dataset.cases if case.label is not None]
    if dataset.scheme is None:
        raise DatasetError(f"{options.folder} does not say what its labels mean: give --labels")
    if not set(student.outputs) <= set(dataset.scheme.regions):
        found, wanted = ", ".join(dataset.scheme.regions), ", ".join(student.outputs)
        raise DatasetError(
            f"the labels in {options.folder} are {found}; this student finds {wanted}"
        )
    _want(len(labelled), f"labelled cases in {options.folder}")
    runtime = open_runtime(student, threads=count_threads())
    validation = Validation(dataset, dataset.scheme, student, runtime, measure_free_memory())
    screen = Screen(quiet=options.quiet)
    compared = list(_compare(validation, labelled, screen))
    _want(len(compared), f"of {len(labelled)} labelled cases are fit to learn from")
    calibration = calibrate(compared)
    write_calibration(student.folder, calibration)
    for line in describe(calibration, student):
        screen.say(line)
    screen.say(f"written to {calibration_file(student.folder)}")
    return 0 if len(compared) == len(labelled) else 1


def describe(calibration: Calibration, student: Student) -> Iterator[str]:
    """A table of the Dice of each output, from every subset of the channels."""
    title, outputs = f"Dice of {calibration.cases} cases", student.outputs
    width = max(len(title), len(" ".join(student.channels)))
    yield "  ".join([f"{title:<{width}}", *(f"{name:>5}" for name in outputs)])
    for present in list_subsets(student.channels):
        trusts = calibration.of(present)
        if trusts:
            names, dice = " ".join(student.among(present)), [trusts[name].dice for name in outputs]
            cells = ["-" if value is None else f"{value:5.3f}" for value in dice]
            columns = zip(outputs, cells, strict=True)
            aligned = (f"{cell:>{max(5, len(name))}}" for name, cell in columns)
            yield "  ".join([f"{names:<{width}}", *aligned])


def _compare(
    validation: Validation, cases: Sequence[Case], screen: Screen
) -> Iterator[ComparedCase]:
    """Compare what can be compared, and report in a line what cannot."""
    with screen.progress("Calibrating", len(cases)) as advance:
        for case in cases:
            try:
                compared = validation.compare(case)
            except (DatasetError, LeftOutError) as error:
                screen.complain(write_line(explain(error, case.name)), error)
            else:
                yield compared
            advance(case.name)


def _find_label(opened: OpenedCase) -> Scan:
    """The label of a case from which something can be learnt."""
    inspection, student = opened.inspection, opened.student
    verdict = judge(inspection, channels=student.channels, spacing_mm=student.spacing_mm)
    missing = student.missing(inspection.scans)
    if verdict.name == REFUSE:
        raise LeftOutError(verdict.reasons)
    if missing:
        raise DatasetError(f"{', '.join(missing)} missing; all channels are needed to learn from")
    if inspection.label is None:
        raise DatasetError("its label cannot be used")
    return inspection.label


def _want(count: int, what: str) -> None:
    if count < LEAST_CASES:
        raise DatasetError(f"{count} {what}, {LEAST_CASES} are needed for {LEVEL:.0%} intervals")
