"""Mistakes that a person can fix end in one line, without a traceback."""

import errno
import logging
import re
import sys
from types import TracebackType

from rich.console import Console

from monai_kd.errors import UserError


class ExperimentError(UserError):
    """A setting or a folder that an experiment cannot run with; the message says how to fix it."""


def report_in_one_line(*kinds: type[Exception]) -> None:
    """From now on an uncaught `UserError`, or one of `kinds`, ends in one line on stderr.

    So do a full disk and an interrupt. MONAI wraps whatever an expression raises into several
    errors of its own; so the whole chain of causes is searched. The traceback goes to the log.
    Other errors are ours to fix and keep their traceback.
    """
    known: tuple[type[Exception], ...] = (UserError, *kinds)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_news)

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            Console().show_cursor()
            sys.stderr.write("interrupted: run the same command again to resume\n")
            return
        line = _explain(error, known)
        if line is None:
            sys.__excepthook__(kind, error, trace)
            return
        logging.getLogger(__name__).info("stopped", exc_info=error)
        sys.stderr.write(f"error: {line}\n")

    sys.excepthook = hook


def _is_news(record: logging.LogRecord) -> bool:
    """Ignite announces that an error will be raised, which is then shown."""
    return "run is terminating due to exception" not in str(record.msg)


def _explain(error: BaseException, known: tuple[type[Exception], ...]) -> str | None:
    """The line for what a person can fix in a chain of errors, None where there is nothing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, known):
            return _read_message(cause)
        if _is_full_disk(cause) or _is_full_disk(cause.__context__):  # torch hides it in another
            return (
                "no space is left on the disk: free some, and run the same command again to resume"
            )
        cause = cause.__cause__
    return None


def _is_full_disk(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _read_message(error: BaseException) -> str:
    """The message; of an error from a worker of a DataLoader, without the traceback around it."""
    message = str(error)
    if not re.match(r"Caught \w+ in DataLoader worker", message):
        return message
    last = message.strip().splitlines()[-1]
    return last.removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")
