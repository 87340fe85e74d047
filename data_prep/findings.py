"""What was found wrong with a dataset, in lines that name the case, the file and the mend."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from data_prep.rules import Rule

SEVERITIES = ("error", "warning", "note")
WHOLE_DATASET = ""  # in the place of a case's name


@dataclass(frozen=True)
class Finding:
    """One rule that one file (path relative to the dataset's folder) or case breaks.

    `detail` says what was seen, with figures, in words that `rule.mend` can follow.
    """

    rule: Rule
    case: str
    file: str
    detail: str

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.case, self.file) if part)
        rule = self.rule
        line = f"{rule.severity.upper()} {place}: {self.detail} - {rule.mend} [{rule.code}]"
        return escape(line)


def spoilt_cases(findings: Iterable[Finding]) -> set[str]:
    """The names of the cases that have an error, and so are left out."""
    return {finding.case for finding in errors_of(findings)}


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    """Those that leave a case, or the whole dataset, out."""
    return [finding for finding in findings if finding.rule.severity == "error"]


def count_by_severity(findings: Iterable[Finding]) -> Counter[str]:
    """How many errors, warnings and notes."""
    return Counter(finding.rule.severity for finding in findings)


def escape(text: str) -> str:
    """One line of what is printable: names and headers can hold anything."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
