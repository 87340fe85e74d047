"""What was found wrong, in lines that name the case, the file and the fix."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_prep.rules import Rule, Severity

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
WHOLE_DATASET = ""  # in the place of a case's name


@dataclass(frozen=True)
class Finding:
    """One rule that one file (path relative to the dataset's folder) or case breaks.

    `detail` says what was seen, with figures, in words that the fix can follow. `weighed` and
    `advice` are severity and fix where they differ from the rule's: predict goes on without a
    sequence that training needs.

    >>> print(Finding(Rule.EMPTY_FILE, "case-07", "t2.nii.gz", "0 bytes"))
    ERROR case-07: t2.nii.gz: 0 bytes - copy or download it again [E102]
    """

    rule: Rule
    case: str
    file: str
    detail: str
    weighed: Severity | None = None
    advice: str | None = None

    @property
    def severity(self) -> Severity:
        """How grave it is here."""
        return self.weighed or self.rule.severity

    @property
    def text(self) -> str:
        """What was seen, and how to fix it."""
        fix = self.rule.fix if self.advice is None else self.advice
        return f"{self.detail} - {fix}" if fix else self.detail

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.case, self.file) if part)
        return escape(f"{self.severity.upper()} {place}: {self.text} [{self.rule.code}]")


class LeftOutError(Exception):
    """A case that is not used, for what was found."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(finding.text for finding in findings))
        self.findings = tuple(findings)


def spoilt_cases(findings: Iterable[Finding]) -> set[str]:
    """The names of the cases that have an error, and so are left out."""
    return {finding.case for finding in errors_of(findings)}


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    """Those that leave a case, or the whole dataset, out."""
    return [finding for finding in findings if finding.severity == "error"]


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes, each in the order in which they were found."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def count_by_severity(findings: Iterable[Finding]) -> Counter[str]:
    """How many errors, warnings and notes."""
    return Counter(finding.severity for finding in findings)


def escape(text: str) -> str:
    """One line of what is printable: names and headers can hold anything."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
