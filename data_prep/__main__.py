"""`python -m data_prep`: makes data for those who have none."""

import argparse
import sys
from collections.abc import Sequence

from data_prep.errors import DatasetError
from data_prep.phantom import write_phantoms


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 2 with one line on stderr if it cannot be done."""
    options = _parser().parse_args(arguments)
    size = options.size[0] if len(options.size) == 1 else tuple(options.size)
    try:
        folder = write_phantoms(
            options.folder,
            cases=options.cases,
            size=size,
            seed=options.seed,
            workers=options.workers,
        )
    except (DatasetError, OSError) as error:
        sys.stderr.write(f"data_prep: {error}\n")
        return 2
    sys.stdout.write(f"{options.cases} phantoms in {folder}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data_prep", description="Prepare data for brain-tumour segmentation."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    phantoms = commands.add_parser(
        "phantoms",
        help="write made-up brains with tumours as a BraTS 2019 folder",
        description="Write made-up brains with tumours as a BraTS 2019 folder: HGG/ and LGG/, "
        "four modalities and a label per case. The same arguments give the same voxels. A complete "
        "folder is reused, an interrupted one is completed.",
    )
    phantoms.add_argument("folder", metavar="OUT", help="the folder to write, new or interrupted")
    phantoms.add_argument(
        "--cases",
        type=int,
        metavar="N",
        default=40,
        help="cases, one in four low grade (%(default)s)",
    )
    phantoms.add_argument(
        "--size",
        type=int,
        nargs="+",
        default=[96],
        metavar="N",
        help="voxels of 1 mm per side, one number or three (96)",
    )
    phantoms.add_argument(
        "--seed", type=int, metavar="N", default=0, help="seed of all random draws (%(default)s)"
    )
    phantoms.add_argument("--workers", type=int, metavar="N", help="processes (one per core)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
