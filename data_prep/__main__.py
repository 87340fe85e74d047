"""`python -m data_prep`: checks and prepares scans, makes phantoms for those who have none."""

import argparse
import sys
from collections.abc import Sequence

from data_prep.check_command import add_check
from data_prep.command_line import run_command
from data_prep.commands import add_phantoms, add_voxelise
from data_prep.points_command import add_points


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep", description="Check and prepare scans for training."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add_command in (add_check, add_voxelise, add_phantoms, add_points):
        add_command(commands)
    return run_command(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
