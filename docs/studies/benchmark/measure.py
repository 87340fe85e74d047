"""Time networks in every runtime and hold the student against the machine's limits.

It writes cpu.json, cpu.md and cpu.png, and with a CUDA device cuda.json, cuda.md and cuda.png.
FULL=1 in the environment takes every network in every runtime; that takes an hour or two.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from docs.studies.benchmark.networks import NETWORKS
from docs.studies.benchmark.page import format_page
from docs.studies.benchmark.plot import write_plot
from docs.studies.benchmark.rows import measure
from monai_kd.files import replace_file

OUTPUT = Path(__file__).parents[2] / "benchmarks"
WINDOWS = (96, 128)
MULTIPLE = 32  # what the deepest of the networks divides by


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for on each device that there is, and write it down."""
    asked = _parse(arguments)
    asked.output.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    tell = Console(highlight=False, soft_wrap=True).print
    full = os.environ.get("FULL", "") not in ("", "0")
    choice = {"networks": asked.networks, "windows": asked.windows, "full": full, "tell": tell}
    there = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    for device in there if asked.device == "all" else {asked.device}.intersection(there):
        with tempfile.TemporaryDirectory() as scratch:
            for found in measure(device, files=Path(scratch), **choice):
                write_result(found, asked.output, name=device)


def write_result(found: dict[str, Any], folder: Path, *, name: str) -> None:
    """Write the figures as they are, as a page, and as a plot."""
    text = json.dumps(found, indent=1) + "\n"
    for suffix, content in {"json": text, "md": format_page(found, plot=f"{name}.png")}.items():
        with replace_file(folder / f"{name}.{suffix}") as temporary:
            temporary.write_text(content, "utf-8")
    write_plot(found["rows"], folder / f"{name}.png")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m docs.studies.benchmark", description=__doc__)
    parser.add_argument("--networks", type=_read_names, default=list(NETWORKS), metavar="A,B")
    parser.add_argument("--windows", type=_read_sizes, default=list(WINDOWS), metavar="96,128")
    parser.add_argument("--output", type=Path, metavar="DIR")
    parser.add_argument("--device", choices=("all", "cpu", "cuda"), default="all")
    asked = parser.parse_args(arguments)
    narrowed = (asked.networks, asked.windows) != (list(NETWORKS), list(WINDOWS))
    if narrowed and asked.output is None:
        parser.exit(2, f"A part of the run would replace all of {OUTPUT}: give --output DIR.\n")
    asked.output = asked.output or OUTPUT
    return asked


def _read_names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(NETWORKS)}")
    return names


def _read_sizes(text: str) -> list[int]:
    sizes = sorted({int(size) if size.isdecimal() else 0 for size in text.split(",")})
    if any(size < MULTIPLE or size % MULTIPLE for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r}: every window is a multiple of {MULTIPLE}")
    return sizes


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped; what was measured of whole windows is written.")
