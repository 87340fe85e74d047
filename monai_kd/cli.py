"""`monai-kd`: what a person does with scans, in one command each."""

import argparse
import sys
from collections.abc import Sequence

from data_prep.commands import add_check, run_command
from monai_kd.prediction.command import add_predict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="monai-kd", description="Distilled segmentation of 3D medical images."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_check(commands)
    add_predict(commands)
    return run_command(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
