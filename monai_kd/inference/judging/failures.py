"""Why a case has no result, in one line that a person can act on."""

import errno
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from data_prep.errors import DatasetError
from data_prep.findings import Finding, escape
from data_prep.rules import Rule
from monai_kd.inference.judging.verdict import Reason

_FULL = (errno.ENOSPC, errno.EDQUOT)


class LeftOutError(Exception):
    """A case that is not segmented, for the reasons given."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__("; ".join(reason.text for reason in reasons))
        self.reasons = tuple(reasons)


def reasons_of(findings: Iterable[Finding]) -> list[Reason]:
    """Say as reasons what the names of a case have shown."""
    return [_reason(f.rule, PurePath(f.file).name, f.detail) for f in findings]


def explain(error: Exception) -> list[Reason]:
    """Say what has stopped a case: what it is left out for, or what has failed."""
    if isinstance(error, LeftOutError):
        return list(error.reasons)
    if is_full(error):
        mend = "make room, and give the same command with --continue"
        return [Reason("E701", "error", "", f"no space left on the disk - {mend}")]
    if isinstance(error, OSError):
        file = PurePath(str(error.filename)).name if error.filename else ""
        detail = error.strerror or type(error).__name__
        return [Reason("E702", "error", file, f"{detail} - check the disk and who may use it")]
    if isinstance(error, MemoryError) or "not enough memory" in str(error):
        mend = "close other programs, or give another --max-ram"
        told = str(error) if isinstance(error, DatasetError) else "not enough memory"
        return [Reason("E703", "error", "", f"{told} - {mend}")]
    if isinstance(error, DatasetError):
        rule, told = Rule.NOT_UNDERSTOOD, str(error)
        mended = " - " in told or "; " in told  # it says already what to do
        return [Reason(rule.code, rule.severity, "", told if mended else f"{told} - {rule.mend}")]
    told = f"{type(error).__name__}: {error} - see predict.log"
    return [Reason(Rule.NOT_UNDERSTOOD.code, "error", "", told)]


def is_full(error: BaseException) -> bool:
    """Tell whether the disk is full, so that other cases would fail as well."""
    return isinstance(error, OSError) and error.errno in _FULL


def write_line(case: str, reasons: Sequence[Reason]) -> str:
    """The gravest reason in the form of a finding, and how many more there are."""
    first = reasons[0]
    place = ": ".join(part for part in (case, first.file) if part)
    more = [reason for reason in reasons[1:] if reason.severity == first.severity]
    rest = f", and {len(more)} more" if more else ""
    return escape(f"{first.severity.upper()} {place}: {first.text} [{first.code}]{rest}")


def _reason(rule: Rule, file: str, detail: str) -> Reason:
    return Reason(rule.code, rule.severity, file, f"{detail} - {rule.mend}")
