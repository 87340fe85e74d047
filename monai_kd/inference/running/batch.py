"""Case after case: one that fails is reported in a line and left out, the others go on."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from data_prep.files import write_json
from monai_kd.inference.judging.failures import explain, is_full, write_line
from monai_kd.inference.judging.verdict import CHECK
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.results.record import build_refusal
from monai_kd.inference.results.result_files import ResultFiles
from monai_kd.inference.screen import Screen
from monai_kd.inference.student import Student

FINE, SOME_FAILED, NOTHING_DONE, INTERRUPTED = 0, 1, 3, 130

Record = dict[str, Any]
Finish = Callable[[OpenedCase, Callable[[str], None]], Record]
Afterwards = Callable[[OpenedCase, Record], None]


@dataclass
class Tally:
    """How many cases came to what; `whole` counts those that an earlier run had done."""

    whole: int = 0
    doubtful: int = 0
    failed: int = 0
    untried: int = 0
    reports_failed: int = 0
    interrupted: bool = field(default=False)

    def count(self, record: Record) -> None:
        """Count a whole result."""
        self.whole += 1
        self.doubtful += record["verdict"] == CHECK

    def exit_code(self, *, strict: bool = False) -> int:
        """0 fine, 1 some failed (or, if strict, are to be checked), 3 none whole, 130 stopped."""
        if self.interrupted:
            return INTERRUPTED
        if self.failed and not self.whole:
            return NOTHING_DONE
        lacking = self.failed or self.untried or self.reports_failed
        return SOME_FAILED if lacking or (strict and self.doubtful) else FINE


@dataclass(frozen=True)
class Batch:
    """`finish` each case and, after its record is there, do what comes `afterwards`.

    A case that fails goes to `leave_out`, and the others go on.
    """

    finish: Finish
    afterwards: Afterwards | None
    leave_out: Callable[[str, Exception], None]
    tally: Tally
    screen: Screen

    def run(self, cases: Iterable[tuple[Request, "Future[OpenedCase]"]], total: int) -> None:
        """Do the `total` cases, in their order.

        Where the disk is full the rest is not tried. An interrupt ends it between two writes.
        """
        remaining = total
        try:
            with catch_first_interrupt(), self.screen.progress("Segmenting", total) as advance:
                for request, pending in cases:
                    full = self._run_one(request, pending)
                    del pending
                    remaining -= 1
                    advance(request.name)
                    if full:
                        break
        except KeyboardInterrupt:
            self.tally.interrupted = True
        self.tally.untried += remaining

    def _run_one(self, request: Request, pending: "Future[OpenedCase]") -> bool:
        """Do one case; return whether the disk is full."""
        opened: OpenedCase | None = None
        try:
            opened = pending.result()
            record = self.finish(opened, self.screen.say)
            self.tally.count(record)
            self.screen.say(describe_result(record))
        except Exception as error:  # whatever is wrong with one case must not end the others
            self.tally.failed += 1
            self.leave_out(request.name, error)
            if opened is not None:
                opened.close()
            return is_full(error)
        try:
            if self.afterwards is not None:
                self.afterwards(opened, record)
        except Exception as error:
            self.tally.reports_failed += 1
            self.screen.complain(write_line(explain(error, f"{request.name}, report")), error)
            return is_full(error)
        finally:
            opened.close()
        return False


def leave_out_case(
    error: Exception, *, files: ResultFiles, student: Student, screen: Screen
) -> None:
    """Say in one line why a case has no result, and write it down."""
    reasons = explain(error, files.case)
    screen.complain(write_line(reasons), error)
    with suppress(OSError):  # the line was said
        files.clear()
        if not is_full(error):
            write_json(files.left_out, build_refusal(files.case, reasons, student))


def describe_result(record: Record) -> str:
    """The volumes and the verdict, with its first reason, in one line."""
    volumes = [_describe_volume(name, volume) for name, volume in record["volumes_ml"].items()]
    volumes[:1] = [f"{first} ml" for first in volumes[:1]]
    verdict = record["verdict"]
    if verdict == CHECK and record["reasons"]:
        reason = record["reasons"][0]
        place = f"{reason['file']}: " if reason["file"] else ""
        verdict += f": {place}{reason['text']} [{reason['code']}]"
    return f"{record['case']}  {'  '.join(volumes)}   {verdict}"


def _describe_volume(name: str, volume: dict[str, float | None]) -> str:
    value, low, high = volume["value"], volume["low"], volume["high"]
    between = f" [{low:.1f}-{high:.1f}]" if low is not None and high is not None else ""
    return f"{name} {value:.1f}{between}"


@contextmanager
def catch_first_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C raise a KeyboardInterrupt, and ignore those that follow it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt:
        raise
    else:
        signal.signal(signal.SIGINT, previous)
