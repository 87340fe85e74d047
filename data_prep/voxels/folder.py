"""The folder of voxels: known by a mark, held by one run at a time, swept of its own leftovers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from filelock import FileLock, Timeout

from data_prep.errors import DatasetError
from data_prep.voxels.record import IMAGE, LABEL, RECORD

MARK = ".monai_kd-voxels"  # tells that the folder is ours, and keeps two runs from writing at once
LIST = "voxels.json"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Make the folder ours, or wait for the run that holds it; a killed run holds nothing."""
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{folder} is a file, expected a folder for the voxels")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise DatasetError(f"{folder} is not empty and holds no voxels; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARK).exists():
        (folder / MARK).touch()
    lock = FileLock(folder / MARK, fallback_to_soft=False)
    with suppress(OSError):  # a file system without locks: there, two runs may collide
        try:
            lock.acquire(timeout=0)
        except Timeout:
            sys.stderr.write(f"waiting for another run that writes to {folder}\n")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def sweep(folder: Path, names: set[str]) -> None:
    """Remove what a killed run left, and cases that the dataset no longer has.

    Stop before anything is lost where no case of the dataset lies there: it is another one's.
    """
    present = {entry.name for entry in folder.iterdir() if (entry / RECORD).is_file()}
    if present and not present & names:
        example = min(present)
        raise DatasetError(f"{folder} holds other cases, such as {example}; name another folder")
    for name in present - names:
        discard(folder / name)
    for partial_write in [*folder.glob(".partial-*"), *folder.glob("*/.partial-*")]:
        rmtree(partial_write)


def discard(case_folder: Path) -> None:
    """Remove the files of a case, and its folder if nothing else lies there."""
    (case_folder.parent / LIST).unlink(missing_ok=True)
    for name in (RECORD, IMAGE, LABEL):
        (case_folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        case_folder.rmdir()
