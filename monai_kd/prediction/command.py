"""The command `predict`: scans to masks, records and reports."""

import argparse
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.case import MODALITIES
from data_prep.errors import DatasetError
from data_prep.schemes import choose_scheme
from monai_kd.prediction.batch import Afterwards, Tally, leave_out_case, run_batch
from monai_kd.prediction.budget import count_threads, measure_free_memory, parse_size
from monai_kd.prediction.case_run import CaseRun, find_calibration
from monai_kd.prediction.dry_run import rehearse
from monai_kd.prediction.lock import WHOLE, Shard, hold_folder
from monai_kd.prediction.opened_case import OpenedCase, open_case
from monai_kd.prediction.output_folder import check_place, prepare_folder, sweep
from monai_kd.prediction.plan import refuse_existing, skip_whole, take_shard
from monai_kd.prediction.requests import Request, find_requests
from monai_kd.prediction.result_files import ResultFiles
from monai_kd.prediction.runtimes import open_runtime
from monai_kd.prediction.screen import Screen
from monai_kd.prediction.student import Student, read_student
from monai_kd.prediction.summary import write_summary

LOG = "predict.log"
LABELS = ("brats2023", "brats2021", "msd")
RUNTIMES = ("auto", "openvino", "onnxruntime", "torch")


def add_predict(commands: Any) -> None:
    """Add `predict` to a parser's commands."""
    parser = commands.add_parser(
        "predict",
        help="segment the tumours in scans",
        usage="%(prog)s INPUT... -o OUT --bundle DIR [options]",
        description="Segment the tumours in skull-stripped, co-registered MRI: a mask on the grid "
        "of each case's own scans, volumes, a verdict on the input, and a report that opens "
        "offline. Scans are never changed, and nothing is sent anywhere. Research use only; not a "
        "medical device.",
        epilog="Exit code: 0 every case is segmented; 1 some are not, or with --strict are to be "
        "checked; 2 the command is wrong; 3 no case could be segmented; 130 interrupted.",
    )
    _add_inputs(parser)
    _add_outputs(parser)
    _add_machine(parser)
    _add_manner(parser)
    parser.set_defaults(run=_predict)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="*",
        metavar="INPUT",
        help="a folder of one case or of many, a 4D file, or a folder of DICOM",
    )
    for modality in MODALITIES:
        parser.add_argument(
            f"--{modality}",
            type=Path,
            metavar="FILE",
            help=f"the {modality} scan; with a folder of DICOM, its series",
        )
    parser.add_argument(
        "--order",
        metavar="M,M,...",
        help="sequences of numbered files or of channels, as in t1,t1ce,t2,flair",
    )
    parser.add_argument(
        "--bundle", type=Path, required=True, metavar="DIR", help="the folder of the student"
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="the folder for the results"
    )
    parser.add_argument(
        "--labels", choices=LABELS, default=LABELS[0], help="values of the mask (%(default)s)"
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="write the probability of each region, too"
    )
    parser.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write a page for each case",
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default=RUNTIMES[0], help="what computes (%(default)s)"
    )
    parser.add_argument("--threads", type=_count, metavar="N", help="threads (all that are ours)")
    parser.add_argument(
        "--max-ram", type=parse_size, metavar="SIZE", help="memory to use, as 6G (what is free)"
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        default=WHOLE,
        metavar="I/N",
        help="do every N-th case from the I-th on, as one of N runs into the same folder",
    )


def _add_manner(parser: argparse.ArgumentParser) -> None:
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--continue",
        dest="goes_on",
        action="store_true",
        help="keep results that are whole and of the same scans and bundle",
    )
    existing.add_argument("--overwrite", action="store_true", help="replace results")
    parser.add_argument(
        "--dry-run", action="store_true", help="tell what would be done; write nothing"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if a case is to be checked"
    )
    parser.add_argument("--debug", action="store_true", help="tell where in the code it failed")
    parser.add_argument("--quiet", action="store_true", help="tell failures only")


def _predict(options: argparse.Namespace) -> int:
    student = read_student(options.bundle)
    requests = _find(options)
    check_place(options.output, options.inputs, requests)
    mine = take_shard(requests, options.shard)
    if not (options.goes_on or options.overwrite):
        refuse_existing(mine, options.output)
    if options.dry_run:
        return _rehearse(options, student, mine)
    prepare_folder(options.output)
    with hold_folder(options.output, options.shard):
        if options.shard == WHOLE:
            sweep(options.output)
        return _segment(options, student, mine)


def _find(options: argparse.Namespace) -> list[Request]:
    given = {name: getattr(options, name) for name in MODALITIES if getattr(options, name)}
    if not (given or options.inputs):
        raise DatasetError("give INPUT, or the files of one case by --t1 --t1ce --t2 --flair")
    if options.order and not options.inputs:
        raise DatasetError("--order tells what numbers mean; --t1 and its like name the files")
    order = [name.strip() for name in options.order.split(",")] if options.order else None
    return find_requests(options.inputs, sequences=given, order=order)


def _rehearse(options: argparse.Namespace, student: Student, requests: Sequence[Request]) -> int:
    screen = Screen(quiet=options.quiet, debug=options.debug)
    tally = rehearse(
        requests,
        student=student,
        runtime=_open_runtime(options, student),
        most_bytes=options.max_ram or measure_free_memory(),
        screen=screen,
    )
    return tally.exit_code(strict=options.strict)


def _segment(options: argparse.Namespace, student: Student, requests: Sequence[Request]) -> int:
    output, scheme, tally = options.output, choose_scheme(options.labels), Tally()
    screen = Screen(quiet=options.quiet, debug=options.debug, log_file=output / LOG)
    if options.goes_on:
        requests = skip_whole(
            requests,
            output,
            student=student,
            scheme=scheme,
            probabilities=options.probabilities,
            reports=options.report,
            tally=tally,
            screen=screen,
        )
    if requests:
        run = CaseRun(
            student,
            _open_runtime(options, student),
            scheme,
            output,
            options.max_ram or measure_free_memory(),
            options.probabilities,
            find_calibration(student),
        )
        run_batch(
            requests,
            open_one=open_case,
            finish=run,
            afterwards=_choose_report(output) if options.report else _no_report,
            leave_out=lambda name, error: leave_out_case(
                name, error, files=ResultFiles(output, name), student=student, screen=screen
            ),
            tally=tally,
            screen=screen,
        )
    return _close(options, tally, screen)


def _open_runtime(options: argparse.Namespace, student: Student) -> Any:
    return open_runtime(student, name=options.runtime, threads=options.threads or count_threads())


def _choose_report(output: Path) -> Afterwards:
    """Load what writes pages, which the lean path does without."""
    from monai_kd.report.case_page import write_case_page  # noqa: PLC0415

    return partial(_write_report, output, write_case_page)


def _write_report(
    output: Path, write_page: Callable[..., Path], opened: OpenedCase, record: dict[str, Any]
) -> None:
    files = ResultFiles(output, opened.request.name)
    images = opened.inspection.case.images
    write_page(
        files.record,
        images={name: images[name].path for name in record["sequences"]},
        label=files.label,
        output=files.report,
    )


def _no_report(opened: OpenedCase, record: dict[str, Any]) -> None:
    """Write nothing."""


def _close(options: argparse.Namespace, tally: Tally, screen: Screen) -> int:
    """Write the summary and say how many are missing and how to go on."""
    try:
        write_summary(options.output)
    except OSError as error:
        screen.complain(f"ERROR summary.csv: {error.strerror} - make room [E701]", error)
        tally.reports_failed += 1
    total = tally.whole + tally.failed + tally.untried
    goes_on = "the same command with --continue goes on"
    if tally.interrupted:
        screen.complain(f"interrupted: {tally.whole} of {total} cases are whole; {goes_on}")
    elif tally.untried:
        screen.complain(f"{tally.untried} of {total} cases were not tried; {goes_on}")
    elif total > 1:
        screen.say(f"{tally.whole} of {total} cases in {options.output}")
    return tally.exit_code(strict=options.strict)


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 1 to 1024")
    return int(text)


def _shard(text: str) -> Shard:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with I from 1 to N, as in 2/4")
    return Shard(int(match[1]), int(match[2]))
