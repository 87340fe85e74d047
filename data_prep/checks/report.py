"""What a check found, for a terminal, for programs and for a browser."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined

from data_prep.checks.dataset import CheckReport
from data_prep.files import write_bytes, write_json
from data_prep.findings import SEVERITIES, Finding, count_by_severity, errors_of
from data_prep.rules import Rule

SHOWN = 5  # findings of one rule before the rest is only counted


class HasFindings(Protocol):
    """Whatever has findings, errors first: a check's report, or that of voxelising."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found."""


def write_summary(report: CheckReport) -> str:
    """Say what was recognised, what was found rule by rule, and what can be used."""
    dataset = report.dataset
    mapping = [f"  {name}: {pattern}" for name, pattern in dataset.mapping.items()]
    patients = _plural(len({case.patient for case in dataset.cases}), "patient")
    cases = _plural(len(dataset.cases), "case")
    lines = [f"{dataset.root}: {dataset.layout}, {cases} of {patients}", *mapping]
    for rule, findings in _by_rule(report.findings):
        lines += [str(finding) for finding in findings[:SHOWN]]
        lines += _tell_rest(rule, findings[SHOWN:])
    return "\n".join([*lines, _closing_line(report)]) + "\n"


def error_lines(report: HasFindings, limit: int = 3) -> list[str]:
    """Tell the errors in at most `limit` lines; beyond it the last line counts the rest."""
    errors = [str(error) for error in errors_of(report.findings)]
    if len(errors) <= limit:
        return errors
    rest = len(errors) - limit + 1
    return [*errors[: limit - 1], f"and {rest} errors more"]


def write_json_report(report: CheckReport, path: Path) -> None:
    """Write all that was found as JSON, the paths relative to the dataset's folder."""
    dataset = report.dataset
    usable = [case.name for case in report.usable_cases]
    content = {
        "folder": dataset.root.resolve().name,
        "layout": dataset.layout,
        "mapping": dict(dataset.mapping),
        "scheme": dataset.scheme.name if dataset.scheme else None,
        "exit_code": report.exit_code,
        "usable": usable,
        "left_out": list(report.left_out),
        "findings": [_as_record(finding) for finding in report.findings],
    }
    write_json(path, content)


def write_html(report: CheckReport, path: Path) -> None:
    """Write all that was found as one page that needs no network."""
    loader = PackageLoader("data_prep.checks", package_path="")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = page.get_template("report.html").render(
        report=report,
        counts=count_by_severity(report.findings),
        rules=[(rule, findings) for rule, findings in _by_rule(report.findings)],
        closing=_closing_line(report),
    )
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def _by_rule(findings: Iterable[Finding]) -> list[tuple[Rule, list[Finding]]]:
    """Errors, then warnings, then notes, each in the order of the rules' codes."""

    def order(finding: Finding) -> tuple[int, str]:
        return SEVERITIES.index(finding.rule.severity), finding.rule.code

    ordered = sorted(findings, key=order)
    return [(rule, list(group)) for rule, group in groupby(ordered, key=lambda f: f.rule)]


def _tell_rest(rule: Rule, rest: Sequence[Finding]) -> list[str]:
    if not rest:
        return []
    counted = f"{len(rest)} findings more" if len(rest) > 1 else "1 finding more"
    return [f"{rule.severity.upper()} and {counted}: {rule.title} [{rule.code}]"]


def _closing_line(report: CheckReport) -> str:
    counts: Counter[str] = count_by_severity(report.findings)
    parts = [f"{counts[s]} {s}{'' if counts[s] == 1 else 's'}" for s in SEVERITIES]
    usable = _plural(len(report.usable_cases), "usable case")
    out = f", {len(report.left_out)} left out" if report.left_out else ""
    return f"{usable}{out}: {', '.join(parts)}"


def _plural(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _as_record(finding: Finding) -> dict[str, str]:
    rule = finding.rule
    return {
        "code": rule.code,
        "severity": finding.severity,
        "case": finding.case,
        "file": finding.file,
        "detail": finding.detail,
        "fix": rule.fix,
    }
