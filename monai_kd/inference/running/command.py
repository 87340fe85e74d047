"""The command `predict`: scans to masks, records and reports."""

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from data_prep.brats.labels import choose_mask_scheme
from data_prep.command_line import read_order
from data_prep.errors import DatasetError
from data_prep.registration.coregistration import write_registered
from data_prep.registration.registration import load_simpleitk
from data_prep.rules import Rule
from monai_kd.inference.budget import choose_budget, count_threads
from monai_kd.inference.calibration import read_calibration
from monai_kd.inference.judging.failures import explain, write_line
from monai_kd.inference.judging.judging import UNCALIBRATED
from monai_kd.inference.judging.twins import Twins
from monai_kd.inference.requests.opened_case import OpenedCase, open_case, read_ahead
from monai_kd.inference.requests.requests import Request, find_requests
from monai_kd.inference.results.summary import write_summary
from monai_kd.inference.running.batch import Afterwards, Batch, Tally, leave_out_case
from monai_kd.inference.running.case_run import CaseRun
from monai_kd.inference.running.dry_run import rehearse
from monai_kd.inference.running.job import Job
from monai_kd.inference.running.lock import hold_folder
from monai_kd.inference.running.options import add_options, name_options, read_files
from monai_kd.inference.running.output_folder import check_place, prepare_folder, sweep
from monai_kd.inference.running.shards import WHOLE, code_for_torchrun, processes_here
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.screen import Screen
from monai_kd.inference.student import Student, read_student

LOG = "predict.log"


def add_predict(commands: Any) -> None:
    """Add `predict` to a parser's commands."""
    parser = commands.add_parser(
        "predict",
        help="segment scans",
        usage="%(prog)s INPUT... -o OUT --bundle DIR [options]",
        description="Segment scans with a student: each case gets a mask on the grid of its own "
        "scan, volumes, a verdict on the input, and a report that opens offline. Scans are never "
        "changed, and nothing is sent over the network. Research use only; not a medical device.",
        epilog="Exit code: 0 every case is segmented; 1 some are not, or with --strict have the "
        "verdict CHECK; 2 the command is wrong; 3 no case could be segmented; 130 interrupted.",
    )
    add_options(parser)
    parser.set_defaults(run=_predict, resume="run the same command with --continue to resume")


def _predict(options: argparse.Namespace) -> int:
    warnings.simplefilter("ignore", RuntimeWarning)  # of broken scans; each ends in a line of ours
    job = _read_job(options)
    requests = _find(options, job.student)
    check_place(options.output, options.inputs, requests)
    mine = options.shard.take(requests)
    if not (options.goes_on or options.overwrite):
        job.refuse_existing(mine)
    if options.dry_run:
        return _rehearse(options, job, mine)
    prepare_folder(options.output)
    with hold_folder(options.output, options.shard):
        if options.shard == WHOLE:
            sweep(options.output)
        return code_for_torchrun(_segment(options, job, mine))


def _read_job(options: argparse.Namespace) -> Job:
    student = read_student(options.bundle)
    return Job(
        student,
        choose_mask_scheme(student.scheme, options.labels),
        options.output,
        probabilities=options.probabilities,
        uncertainty=options.uncertainty,
        reports=options.report,
        coregister=options.coregister,
    )


def _find(options: argparse.Namespace, student: Student) -> list[Request]:
    files = read_files(options, student)
    if not (files or options.inputs):
        raise DatasetError(f"give INPUT, or the files of one case by {name_options(student)}")
    if options.order and not options.inputs:
        raise DatasetError(f"--order says what numbers mean, but {', '.join(files)} came by name")
    order = read_order(options)
    return find_requests(options.inputs, channels=student.channels, files=files, order=order)


def _rehearse(options: argparse.Namespace, job: Job, requests: Sequence[Request]) -> int:
    screen = Screen(quiet=options.quiet, debug=options.debug)
    run = _open_run(options, job, screen, choose_budget(options.max_ram))
    tally = rehearse(requests, run, screen=screen, open_one=_choose_opener(job, run.most_bytes))
    return tally.exit_code(strict=options.strict)


def _choose_opener(job: Job, most_bytes: int) -> Callable[[Request], OpenedCase]:
    if job.coregister:
        load_simpleitk()
    return partial(open_case, student=job.student, together=job.coregister, most_bytes=most_bytes)


def _open_run(options: argparse.Namespace, job: Job, screen: Screen, most_bytes: int) -> CaseRun:
    """Make the network ready; say what is to be known of the device, and of how good it is."""
    threads = options.threads or max(1, count_threads() // processes_here())
    runtime = open_runtime(job.student, name=options.runtime, threads=threads)
    if runtime.note:
        screen.say(runtime.note)
    calibration = read_calibration(job.student.folder)
    if calibration is None:
        screen.say(f"{UNCALIBRATED} - {Rule.UNCALIBRATED.fix}")
    return CaseRun(job, runtime, most_bytes, calibration)


def _segment(options: argparse.Namespace, job: Job, requests: Sequence[Request]) -> int:
    tally, twins = Tally(), Twins()
    screen = Screen(quiet=options.quiet, debug=options.debug, log_file=job.output / LOG)
    if options.goes_on:
        requests = job.skip_whole(requests, tally=tally, twins=twins, screen=screen)
    if requests:
        Thread(target=_preload, daemon=True).start()
        most_bytes = choose_budget(options.max_ram)
        cases = read_ahead(requests, _choose_opener(job, most_bytes))
        run = replace(_open_run(options, job, screen, most_bytes), twins=twins)
        Batch(
            run,
            _choose_report(job) if job.reports else None,
            lambda name, error: leave_out_case(
                error, files=job.files_of(name), student=job.student, screen=screen
            ),
            tally,
            screen,
        ).run(cases, len(requests))
    return _close(options, job, tally, screen)


def _preload() -> None:
    """Load, while the network is made ready, what is wanted after it."""
    import scipy.ndimage  # noqa: PLC0415, F401


def _choose_report(job: Job) -> Afterwards:
    """Load what writes pages, which the lean path does without."""
    from monai_kd.report.case_page import write_case_page  # noqa: PLC0415

    return partial(_write_report, job, write_case_page)


def _write_report(
    job: Job, write_page: Callable[..., Path], opened: OpenedCase, record: dict[str, Any]
) -> None:
    files = job.files_of(opened.request.name)
    images = opened.inspection.case.images
    paths = {name: images[name].path for name in record["sequences"]}
    with TemporaryDirectory(prefix="monai-kd-") as staging:
        if opened.coregistration is not None:
            paths |= write_registered(opened.coregistration, Path(staging))
        write_page(files.record, images=paths, label=files.label, output=files.report)


def _close(options: argparse.Namespace, job: Job, tally: Tally, screen: Screen) -> int:
    """Write the summary and say how many are missing and how to go on."""
    try:
        write_summary(job.output, job.student.outputs)
    except OSError as error:
        screen.complain(write_line(explain(error, "summary.csv")), error)
        tally.reports_failed += 1
    total = tally.whole + tally.failed + tally.untried
    goes_on = "run the same command with --continue to resume"
    if tally.interrupted:
        screen.complain(f"interrupted: {tally.whole} of {total} cases are whole; {goes_on}")
    elif tally.untried:
        screen.complain(f"{tally.untried} of {total} cases were not tried; {goes_on}")
    elif total > 1:
        screen.say(f"{tally.whole} of {total} cases in {job.output}")
    return tally.exit_code(strict=options.strict)
