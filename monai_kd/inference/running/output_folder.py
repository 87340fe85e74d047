"""Whether the output folder can be written, before any work is spent."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from data_prep.errors import DatasetError
from monai_kd.inference.requests.requests import Request

PROBE_BYTES = 2**20  # about what one result takes


def check_place(output: Path, inputs: Iterable[Path], requests: Iterable[Request]) -> None:
    """Stop where results would lie among the scans, or where the folder is a file."""
    real = Path(os.path.realpath(output))
    for folder in {Path(os.path.realpath(path)) for path in inputs if path.is_dir()}:
        if real.is_relative_to(folder):
            raise DatasetError(f"{output} lies in the input {folder}; write to another place")
    scans = {image.path for request in requests for image in request.case.images.values()}
    if real in {Path(os.path.realpath(scan.parent)) for scan in scans}:
        raise DatasetError(f"{output} holds the scans themselves; write to another place")
    for place in (output, *output.absolute().parents):
        if (place.exists() or place.is_symlink()) and not place.is_dir():
            raise DatasetError(f"{place} is not a folder, as one for the results is expected")


def prepare_folder(output: Path) -> None:
    """Make the folder and write a file in it; stop in one line where that cannot be done."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=".partial-", dir=output) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DatasetError(f"cannot write in {output}: {error.strerror or error}") from error


def sweep(output: Path) -> None:
    """Remove what killed runs have left under temporary names; no other run may be at work."""
    for left in (*output.glob(".partial-*"), *output.glob("left_out/.partial-*")):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()
