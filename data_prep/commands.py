"""The commands voxelise and phantoms. Each parses, calls one function, reports."""

import argparse
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from data_prep.checks.report import error_lines
from data_prep.command_line import add_source, add_workers, find_source
from data_prep.datalist import write_datalist
from data_prep.errors import DatasetError
from data_prep.phantom import LAYOUTS, TASKS, write_phantoms
from data_prep.voxels import VoxelSettings, voxelise


def add_voxelise(commands: Any) -> None:
    """Add `voxelise` to a parser's commands."""
    parser = commands.add_parser(
        "voxelise",
        help="prepare a folder of scans for training",
        description="Check every case, resample it to one orientation and spacing, crop it to the "
        "brain, and store it compressed. Cases that fail the check are left out. Finished cases "
        "are reused; run an interrupted command again to resume.",
        epilog="Exit code: 0 every case is written, 1 some are left out, 2 none can be used.",
    )
    add_source(parser)
    add_workers(parser)
    parser.add_argument("output", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument(
        "--spacing",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="MM",
        help="voxel size in mm, one number or three; 0 keeps that of each scan (default: 1)",
    )
    parser.set_defaults(run=_voxelise)


def add_phantoms(commands: Any) -> None:
    """Add `phantoms` to a parser's commands."""
    parser = commands.add_parser(
        "phantoms",
        help="write synthetic brains with tumours",
        description="Write synthetic brains with tumours, four modalities and a label per case, in "
        "any of the supported layouts. The same arguments give the same voxels. A complete folder "
        "is reused, an interrupted one is completed.",
    )
    parser.add_argument("folder", metavar="OUT", help="folder to write (new, or to be completed)")
    parser.add_argument(
        "--cases",
        type=int,
        metavar="N",
        default=40,
        help="number of cases, one in four low grade (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs="+",
        default=[96],
        metavar="N",
        help="size in voxels of 1 mm, one number or three (default: 96)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", default=0, help="random seed (default: %(default)s)"
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default=LAYOUTS[0],
        help="file names and label values (default: %(default)s)",
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        default=TASKS[0],
        help="glioma: one large tumour; far_context: a ring lesion, labelled unless the other "
        "hemisphere has a second one (default: %(default)s)",
    )
    parser.add_argument(
        "--difficulty",
        type=float,
        metavar="X",
        default=1.0,
        help="factor for tissue variation between cases and for noise (default: %(default)s)",
    )
    add_workers(parser)
    parser.set_defaults(run=_phantoms)


def _voxelise(options: argparse.Namespace) -> int:
    settings = VoxelSettings(spacing_mm=_spacing(options.spacing))
    report = voxelise(
        find_source(options), options.output, settings=settings, workers=options.workers
    )
    sys.stderr.writelines(f"{line}\n" for line in error_lines(report))
    datalist = write_datalist(options.output, output_file=options.output / "dataset.json")
    sys.stdout.write(f"{report.summary}; the list is {datalist}\n")
    return report.exit_code


def _spacing(sides: Sequence[float]) -> tuple[float, float, float] | None:
    if list(sides) == [0]:
        return None
    if len(sides) not in (1, 3) or not all(0 < side < inf for side in sides):
        raise DatasetError(f"spacing {sides}: expected one or three sizes in mm above 0, or 0")
    x, y, z = sides if len(sides) == 3 else [sides[0]] * 3
    return (x, y, z)


def _phantoms(options: argparse.Namespace) -> int:
    size = options.size[0] if len(options.size) == 1 else tuple(options.size)
    folder = write_phantoms(
        options.folder,
        cases=options.cases,
        size=size,
        seed=options.seed,
        workers=options.workers,
        layout=options.layout,
        task=options.task,
        difficulty=options.difficulty,
    )
    sys.stdout.write(f"{options.cases} phantoms in {folder}\n")
    return 0
