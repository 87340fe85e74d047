"""What a run reports: results on stdout, failures on stderr, a progress bar, all in the log."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from data_prep.findings import escape
from data_prep.parallel import draw_progress

Advance = Callable[[str], None]


class Screen:
    """Where a run speaks; a reader who has gone away or a full disk never stops it."""

    def __init__(
        self, *, quiet: bool = False, debug: bool = False, log_file: Path | None = None
    ) -> None:
        self.quiet = quiet
        self.debug = debug
        self.log_file = log_file
        self._heard = True

    def say(self, line: str) -> None:
        """Tell a result."""
        self.note(line)
        if self.quiet or not self._heard or sys.stdout is None:
            return
        try:
            sys.stdout.write(escape(line) + "\n")
            sys.stdout.flush()
        except OSError:  # as with `| head`; the interpreter would complain again as it ends
            self._heard = False
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def complain(self, line: str, error: BaseException | None = None) -> None:
        """Tell what went wrong in one line; where it was comes with `debug`, and in the log."""
        trace = "".join(traceback.format_exception(error)) if error else ""
        with suppress(OSError, AttributeError):  # there is none where it was closed
            sys.stderr.write(escape(line) + "\n")
            if self.debug:
                sys.stderr.write(trace)
        self.note(line)
        self._log(trace)

    def note(self, line: str) -> None:
        """Keep a line in the log only."""
        self._log(f"{datetime.now(UTC).isoformat(timespec='seconds')} {escape(line)}\n")

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Advance]:
        """Draw a bar of the cases with the time left; yield what moves it on."""
        if self.quiet or total < 2 or sys.stderr is None:
            yield lambda case: None
            return
        with draw_progress(title, total) as advance:
            yield lambda case: advance(escape(case))

    def _log(self, text: str) -> None:
        if self.log_file is not None and text:
            with (
                suppress(OSError),
                self.log_file.open("a", encoding="utf-8", errors="backslashreplace") as file,
            ):
                file.write(text)
