"""What can be said to the command `predict`."""

import argparse
import re
from pathlib import Path

from data_prep.brats.labels import MASKS
from data_prep.brats.sequences import SEQUENCES
from data_prep.errors import DatasetError
from monai_kd.inference.budget import parse_size
from monai_kd.inference.running.shards import Shard, shard_of_torchrun
from monai_kd.inference.runtimes.choice import RUNTIMES
from monai_kd.inference.student import Student


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options of `predict`."""
    _add_inputs(parser)
    _add_outputs(parser)
    _add_machine(parser)
    _add_manner(parser)


def read_files(options: argparse.Namespace, student: Student) -> dict[str, Path]:
    """The files of one case that were given by channel."""
    files = {name: getattr(options, name) for name in SEQUENCES if getattr(options, name)}
    own = {name.casefold(): name for name in student.channels}
    for name, file in options.image:
        if name.casefold() not in own:
            wanted = ", ".join(student.channels)
            raise DatasetError(f"--image {name}: this student has no such channel, but {wanted}")
        files[own[name.casefold()]] = file
    return files


def name_options(student: Student) -> str:
    """How the files of one case are given to a student."""
    if student.has_known_looks:
        return " ".join(f"--{name}" for name in student.channels)
    return " ".join(f"--image {name}=FILE" for name in student.channels)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="*",
        metavar="INPUT",
        help="folder of one or more cases, 4D file with all channels, or folder of DICOM",
    )
    parser.add_argument(
        "--image",
        type=_image,
        action="append",
        default=[],
        metavar="CHANNEL=FILE",
        help="scan of one case for a channel of the student; repeat for each channel",
    )
    for modality in SEQUENCES:
        parser.add_argument(
            f"--{modality}",
            type=Path,
            metavar="FILE",
            help=f"{modality} scan; with a folder of DICOM, its series",
        )
    parser.add_argument(
        "--order",
        metavar="M,M,...",
        help="channels of numbered files or of a 4D file, e.g. {}".format(",".join(SEQUENCES)),
    )
    parser.add_argument(
        "--coregister",
        action="store_true",
        help="register scans that are not aligned to the student's first channel",
    )
    parser.add_argument(
        "--bundle", type=Path, required=True, metavar="DIR", help="bundle of the student"
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the results"
    )
    parser.add_argument(
        "--labels",
        choices=MASKS,
        help=f"label values of the mask, if the student supports them (default: {MASKS[0]})",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="also write the probability of each output"
    )
    parser.add_argument(
        "--uncertainty", action="store_true", help="also write a map of the student's uncertainty"
    )
    parser.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write an HTML report for each case (default: yes)",
    )


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime",
        choices=("auto", *RUNTIMES),
        default="auto",
        help="what runs the network (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=_count, metavar="N", help="number of threads (default: all available)"
    )
    parser.add_argument(
        "--max-ram",
        type=parse_size,
        metavar="SIZE",
        help="memory limit, e.g. 6G (default: free memory)",
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        default=shard_of_torchrun(),
        metavar="I/N",
        help="segment every N-th case from the I-th on, as one of N runs into the same folder; "
        "torchrun sets it for each of its processes",
    )


def _add_manner(parser: argparse.ArgumentParser) -> None:
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--continue",
        dest="goes_on",
        action="store_true",
        help="resume: keep complete results of the same scans and bundle",
    )
    existing.add_argument("--overwrite", action="store_true", help="replace existing results")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done and write nothing"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if a case has the verdict CHECK"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failed case")
    parser.add_argument("--quiet", action="store_true", help="report failures only")


def _image(text: str) -> tuple[str, Path]:
    channel, equals, file = text.partition("=")
    if not (channel and equals and file):
        raise argparse.ArgumentTypeError(f"{text!r}: expected CHANNEL=FILE")
    return channel, Path(file)


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 1 to 1024")
    return int(text)


def _shard(text: str) -> Shard:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with I from 1 to N, as in 2/4")
    return Shard(int(match[1]), int(match[2]))
