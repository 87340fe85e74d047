"""Mistakes that a person can mend are told in one line, without a traceback."""

import logging
import re
import sys
import traceback
from types import TracebackType

from rich.console import Console


class ExperimentError(ValueError):
    """A setting or a folder that an experiment cannot run with; the message says how to mend it."""


def report_in_one_line(*kinds: type[Exception]) -> None:
    """From now on an uncaught `ExperimentError`, or one of `kinds`, ends in one line on stderr.

    So does a `ValueError` that `monai_kd` raises, or a class of its own raised anew by a loader
    whose worker met it: it is about what a configuration gave it. MONAI wraps whatever an
    expression raises into several errors of its own; so the whole chain of causes is searched. The
    traceback goes to the log. Other errors keep their traceback.
    """
    known: tuple[type[Exception], ...] = (ExperimentError, *kinds)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            Console().show_cursor()
            sys.stderr.write("interrupted: the same command goes on from the last whole epoch\n")
            return
        cause = _find_cause(error, known)
        if cause is None:
            sys.__excepthook__(kind, error, trace)
            return
        logging.getLogger(__name__).info("stopped", exc_info=error)
        sys.stderr.write(f"error: {_read_message(cause)}\n")

    sys.excepthook = hook


def _find_cause(
    error: BaseException | None, kinds: tuple[type[Exception], ...]
) -> BaseException | None:
    while error is not None and not (isinstance(error, kinds) or _is_complaint(error)):
        error = error.__cause__
    return error


def _is_complaint(error: BaseException) -> bool:
    """Whether our own code refused a value."""
    if not isinstance(error, ValueError):
        return False
    if type(error).__module__.startswith("monai_kd."):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and str(frames[-1].f_globals.get("__name__")).startswith("monai_kd.")


def _read_message(error: BaseException) -> str:
    """The message; of an error from a worker of a DataLoader, without the traceback around it."""
    message = str(error)
    if not re.match(r"Caught \w+ in DataLoader worker", message):
        return message
    last = message.strip().splitlines()[-1]
    return last.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
