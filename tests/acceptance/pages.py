"""What every measurement asks for and tells: its options, its tables of Markdown."""

import argparse
import sys
from collections.abc import Iterable, Sequence


def open_parser(page: str | None) -> argparse.ArgumentParser:
    """Options of a measurement that tells what it is in the first line of its module."""
    return argparse.ArgumentParser(
        description=(page or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def format_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown, without the end of its last line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def say(*lines: str) -> None:
    """Tell at once, to whoever waits."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
