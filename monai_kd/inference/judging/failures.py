"""Why a case has no result, in one line that a person can act on."""

import errno
from collections.abc import Sequence
from pathlib import PurePath

from data_prep.errors import DatasetError
from data_prep.findings import Finding, LeftOutError
from data_prep.rules import Rule

_FULL = (errno.ENOSPC, errno.EDQUOT)


def explain(error: Exception, case: str) -> list[Finding]:
    """Say what has stopped a case: what it is left out for, or what has failed."""
    if isinstance(error, LeftOutError):
        return list(error.findings)
    if is_full(error):
        return [Finding(Rule.DISK_FULL, case, "", "no space left on the disk")]
    if isinstance(error, OSError):
        file = PurePath(str(error.filename)).name if error.filename else ""
        return [Finding(Rule.DISK_FAULT, case, file, error.strerror or type(error).__name__)]
    ours = str(error) if isinstance(error, DatasetError) else ""
    if isinstance(error, MemoryError) or "not enough memory" in str(error):
        return [Finding(Rule.NO_MEMORY, case, "", ours or "not enough memory")]
    advice = "" if " - " in ours or "; " in ours else None  # it says already what to do
    if not ours:
        ours, advice = f"{type(error).__name__}: {error}", "see predict.log"
    return [Finding(Rule.NOT_UNDERSTOOD, case, "", ours, advice=advice)]


def is_full(error: BaseException) -> bool:
    """Say whether the disk is full, so that other cases would fail as well."""
    return isinstance(error, OSError) and error.errno in _FULL


def write_line(findings: Sequence[Finding]) -> str:
    """The gravest of what was found, and how many more there are of the same severity."""
    first, *others = findings
    more = sum(finding.severity == first.severity for finding in others)
    return f"{first}, and {more} more" if more else str(first)
