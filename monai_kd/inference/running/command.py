"""The command `predict`: scans to masks, records and reports."""

import argparse
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from data_prep.case import MODALITIES
from data_prep.command_line import read_order
from data_prep.errors import DatasetError
from data_prep.registration.coregistration import write_registered
from data_prep.registration.registration import load_simpleitk
from data_prep.rules import Rule
from data_prep.schemes import choose_scheme
from monai_kd.inference.budget import choose_budget, count_threads
from monai_kd.inference.calibration import Calibration, read_calibration
from monai_kd.inference.judging.failures import explain, write_line
from monai_kd.inference.judging.judging import UNCALIBRATED
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.requests.opened_case import OpenedCase, open_case, read_ahead
from monai_kd.inference.requests.requests import Request, find_requests
from monai_kd.inference.results.result_files import ResultFiles
from monai_kd.inference.results.summary import write_summary
from monai_kd.inference.running.batch import Afterwards, Tally, leave_out_case, run_batch
from monai_kd.inference.running.case_run import CaseRun
from monai_kd.inference.running.dry_run import rehearse
from monai_kd.inference.running.lock import hold_folder
from monai_kd.inference.running.options import add_options
from monai_kd.inference.running.output_folder import check_place, prepare_folder, sweep
from monai_kd.inference.running.plan import refuse_existing, skip_whole
from monai_kd.inference.running.shards import WHOLE, code_for_torchrun, processes_here
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.runtimes.runtime import Runtime
from monai_kd.inference.screen import Screen
from monai_kd.inference.student import Student, read_student

LOG = "predict.log"


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
    add_options(parser)
    parser.set_defaults(run=_predict, mend="the same command with --continue goes on")


def _predict(options: argparse.Namespace) -> int:
    warnings.simplefilter("ignore", RuntimeWarning)  # of broken scans; each ends in a line of ours
    student = read_student(options.bundle)
    requests = _find(options)
    check_place(options.output, options.inputs, requests)
    mine = options.shard.take(requests)
    if not (options.goes_on or options.overwrite):
        refuse_existing(mine, options.output)
    if options.dry_run:
        return _rehearse(options, student, mine)
    prepare_folder(options.output)
    with hold_folder(options.output, options.shard):
        if options.shard == WHOLE:
            sweep(options.output)
        return code_for_torchrun(_segment(options, student, mine))


def _find(options: argparse.Namespace) -> list[Request]:
    given = {name: getattr(options, name) for name in MODALITIES if getattr(options, name)}
    if not (given or options.inputs):
        raise DatasetError("give INPUT, or the files of one case by --t1 --t1ce --t2 --flair")
    if options.order and not options.inputs:
        raise DatasetError("--order tells what numbers mean; --t1 and its like name the files")
    return find_requests(options.inputs, sequences=given, order=read_order(options))


def _rehearse(options: argparse.Namespace, student: Student, requests: Sequence[Request]) -> int:
    screen = Screen(quiet=options.quiet, debug=options.debug)
    most_bytes = choose_budget(options.max_ram)
    tally = rehearse(
        requests,
        student=student,
        runtime=_open_runtime(options, student, screen),
        calibration=_read_calibration(student, screen),
        most_bytes=most_bytes,
        screen=screen,
        open_one=_choose_opener(options, student, most_bytes),
    )
    return tally.exit_code(strict=options.strict)


def _choose_opener(
    options: argparse.Namespace, student: Student, most_bytes: int
) -> Callable[[Request], OpenedCase]:
    if options.coregister:
        load_simpleitk()
    together = student.modalities if options.coregister else ()
    return partial(open_case, together=together, most_bytes=most_bytes)


def _segment(options: argparse.Namespace, student: Student, requests: Sequence[Request]) -> int:
    output, scheme, tally, twins = options.output, choose_scheme(options.labels), Tally(), Twins()
    screen = Screen(quiet=options.quiet, debug=options.debug, log_file=output / LOG)
    if options.goes_on:
        requests = skip_whole(
            requests,
            output,
            student=student,
            scheme=scheme,
            probabilities=options.probabilities,
            uncertainty=options.uncertainty,
            reports=options.report,
            coregister=options.coregister,
            tally=tally,
            twins=twins,
            screen=screen,
        )
    if requests:
        Thread(target=_preload, daemon=True).start()
        most_bytes = choose_budget(options.max_ram)
        cases = read_ahead(requests, _choose_opener(options, student, most_bytes))
        run = CaseRun(
            student,
            _open_runtime(options, student, screen),
            scheme,
            output,
            most_bytes,
            options.probabilities,
            options.uncertainty,
            _read_calibration(student, screen),
            twins,
        )
        run_batch(
            cases,
            len(requests),
            finish=run,
            afterwards=_choose_report(output) if options.report else _no_report,
            leave_out=lambda name, error: leave_out_case(
                name, error, files=ResultFiles(output, name), student=student, screen=screen
            ),
            tally=tally,
            screen=screen,
        )
    return _close(options, tally, screen)


def _preload() -> None:
    """Load, while the network is made ready, what is wanted after it."""
    import_module("scipy.ndimage")


def _read_calibration(student: Student, screen: Screen) -> Calibration | None:
    """Say once where nothing is known of how good the student is."""
    calibration = read_calibration(student.folder)
    if calibration is None:
        screen.say(f"{UNCALIBRATED} - {Rule.UNCALIBRATED.fix}")
    return calibration


def _open_runtime(options: argparse.Namespace, student: Student, screen: Screen) -> Runtime:
    threads = options.threads or max(1, count_threads() // processes_here())
    runtime = open_runtime(student, name=options.runtime, threads=threads)
    if runtime.note:
        screen.say(runtime.note)
    return runtime


def _choose_report(output: Path) -> Afterwards:
    """Load what writes pages, which the lean path does without."""
    from monai_kd.report.case_page import write_case_page  # noqa: PLC0415

    return partial(_write_report, output, write_case_page)


def _write_report(
    output: Path, write_page: Callable[..., Path], opened: OpenedCase, record: dict[str, Any]
) -> None:
    files = ResultFiles(output, opened.request.name)
    images = opened.inspection.case.images
    paths = {name: images[name].path for name in record["sequences"]}
    with TemporaryDirectory(prefix="monai-kd-") as staging:
        if opened.coregistration is not None:
            paths |= write_registered(opened.coregistration, Path(staging))
        write_page(files.record, images=paths, label=files.label, output=files.report)


def _no_report(opened: OpenedCase, record: dict[str, Any]) -> None:
    """Write nothing."""


def _close(options: argparse.Namespace, tally: Tally, screen: Screen) -> int:
    """Write the summary and say how many are missing and how to go on."""
    try:
        write_summary(options.output)
    except OSError as error:
        screen.complain(write_line(explain(error, "summary.csv")), error)
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
