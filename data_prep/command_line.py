"""What the commands on data share: their common arguments, and faults reported in one line."""

import argparse
import sys
from collections.abc import Sequence
from errno import ENOSPC
from io import TextIOWrapper
from pathlib import Path

from data_prep.brats.labels import SCHEMES
from data_prep.case import Dataset
from data_prep.errors import DatasetError
from data_prep.layouts import find_dataset

CANNOT = 2
INTERRUPTED = 130


def run_command(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Run the command that the arguments name, report faults in one line; return the exit code."""
    options = parser.parse_args(arguments)
    resume = getattr(options, "resume", "run the same command again to resume")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files can hold any bytes
    try:
        code: int = options.run(options)
    except (DatasetError, OSError) as error:
        full = isinstance(error, OSError) and error.errno == ENOSPC
        hint = f"; free some space, and {resume}" if full else ""
        sys.stderr.write(f"{parser.prog}: {error}{hint}\n")
        return CANNOT
    except KeyboardInterrupt:
        sys.stderr.write(f"{parser.prog}: interrupted; {resume}\n")
        return INTERRUPTED
    return code


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the folder of scans, and what its names do not say."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of scans")
    parser.add_argument(
        "--labels",
        metavar="SCHEME",
        help=f"meaning of the label values, if it cannot be detected: {', '.join(SCHEMES)}",
    )
    parser.add_argument(
        "--order",
        metavar="M,M,...",
        help="modalities of files numbered _0000, _0001, ..., e.g. t1,t1ce,t2,flair",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument(
        "--workers", type=int, metavar="N", help="number of processes (default: one per core)"
    )


def find_source(options: argparse.Namespace) -> Dataset:
    """Recognise the folder that was given."""
    return find_dataset(options.folder, labels=options.labels, order=read_order(options))


def read_order(options: argparse.Namespace) -> list[str] | None:
    """The modalities in the order that was given, if one was."""
    return [name.strip() for name in options.order.split(",")] if options.order else None
