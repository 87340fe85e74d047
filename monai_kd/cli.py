"""`monai-kd`: what a person does with scans, in one command each."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType

from data_prep.command_line import INTERRUPTED, run_command
from monai_kd.version import tool_name

# Where each command adds itself; only the one that is named is loaded, for some load for seconds.
COMMANDS = MappingProxyType(
    {
        "calibrate": ("monai_kd.inference.calibrating.command", "add_calibrate"),
        "check": ("data_prep.check_command", "add_check"),
        "predict": ("monai_kd.inference.running.command", "add_predict"),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        parser = _load_parser(given)
    except KeyboardInterrupt:
        sys.stderr.write("monai-kd: interrupted before any work\n")
        return INTERRUPTED
    return run_command(parser, given)


def _load_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="monai-kd", description="Distilled segmentation of medical images."
    )
    parser.add_argument("--version", action="version", version=tool_name())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    named = [name for name in given[:1] if name in COMMANDS]
    for name in named or COMMANDS:
        module, add_command = COMMANDS[name]
        getattr(import_module(module), add_command)(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
