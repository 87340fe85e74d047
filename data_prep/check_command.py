"""The command `check`: parses, calls one function, reports."""

import argparse
import sys
from pathlib import Path
from typing import Any

from data_prep.case import Dataset
from data_prep.checks.dataset import check_dataset
from data_prep.checks.report import error_lines, write_html, write_json_report, write_summary
from data_prep.command_line import add_source, add_workers, find_source
from data_prep.datalist import write_raw_datalist
from data_prep.errors import DatasetError


def add_check(commands: Any) -> None:
    """Add `check` to a parser's commands."""
    parser = commands.add_parser(
        "check",
        help="check a folder of scans",
        description="Detect the layout of a folder of scans, read every file completely, and "
        "report each problem with the file and how to fix it. Nothing in the folder is changed.",
        epilog="Exit code: 0 every case can be used, 1 some cases cannot, 2 none can, or the "
        "command is wrong.",
    )
    add_source(parser)
    add_workers(parser)
    for name, what in (
        ("json", "the findings as JSON"),
        ("html", "the findings as one HTML page"),
        ("datalist", "a dataset.json of the usable cases"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write {what}")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    dataset = find_source(options)
    for output in (options.json, options.html, options.datalist):
        _spare_the_data(output, dataset)
    report = check_dataset(dataset, workers=options.workers)
    sys.stdout.write(write_summary(report))
    sys.stderr.writelines(f"{line}\n" for line in error_lines(report))
    if options.json:
        write_json_report(report, options.json)
    if options.html:
        write_html(report, options.html)
    if options.datalist:
        write_raw_datalist(report, output_file=options.datalist)
    return report.exit_code


def _spare_the_data(output: Path | None, dataset: Dataset) -> None:
    """Stop before anything is written among the scans, or where nothing can be."""
    if output and output.resolve().is_relative_to(dataset.root.resolve()):
        raise DatasetError(f"{output} lies in the data set; write to another place")
    if output and output.is_dir():
        raise DatasetError(f"{output} is a folder, expected the name of a file")
