"""One run in a folder at a time, except for the shards of one batch."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from data_prep.errors import DatasetError
from monai_kd.inference.running.shards import WHOLE, Shard

_NAME = re.compile(r"\.predict(?:-\d+-of-(\d+))?\.(?:lock|held)")


@contextmanager
def hold_folder(folder: Path, shard: Shard = WHOLE) -> Iterator[None]:
    """Keep `folder` to this run; stop with one line where a run that would mix with it is at work.

    The kernel lets go of the lock of a process that dies. Where the disk knows no locks, a file is
    the lock, and is void once its process has gone.
    """
    part = "" if shard == WHOLE else f"-{shard.number}-of-{shard.count}"
    own = folder / f".predict{part}.lock"
    lock = _take(own)
    try:
        for other in sorted(folder.glob(".predict*")):
            if other.stem != own.stem and _mixes(other, shard):
                _take(other.with_suffix(".lock")).release()
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            Path(lock.lock_file).unlink()
        lock.release()


def _mixes(other: Path, shard: Shard) -> bool:
    """Say whether the other run may come upon the same case."""
    match = _NAME.fullmatch(other.name)
    return match is not None and (
        shard == WHOLE or match[1] is None or int(match[1]) != shard.count
    )


def _take(path: Path) -> BaseFileLock:
    lock: BaseFileLock = FileLock(path, timeout=0, fallback_to_soft=False, on_acquired=_sign)
    try:
        try:
            lock.acquire()
        except OSError as error:
            if isinstance(error, Timeout):
                raise
            path.unlink(missing_ok=True)  # some network disks lock nothing
            lock = SoftFileLock(path.with_suffix(".held"), timeout=0)
            lock.acquire()
    except Timeout as error:
        raise DatasetError(
            f"{path.parent} is in use by {_describe_owner(Path(lock.lock_file))}; wait for it, or "
            "name another output folder"
        ) from error
    return lock


def _sign(descriptor: int) -> None:
    """Write whose the lock is, as a SoftFileLock does."""
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n{socket.gethostname()}\n".encode())


def _describe_owner(path: Path) -> str:
    lines: list[str] = []
    with suppress(OSError):  # gone; on Windows, locked
        lines = path.read_text(encoding="utf-8", errors="replace").split()
    return f"process {lines[0]} on {lines[1]}" if len(lines) > 1 else "another process"
