"""One run in a folder at a time, except for the shards of one batch."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import DatasetError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NAME = re.compile(r"\.predict(?:-(\d+)-of-(\d+))?\.lock")


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `count` runs that share the cases of a batch."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


WHOLE = Shard(1, 1)


@contextmanager
def hold_folder(folder: Path, shard: Shard = WHOLE) -> Iterator[None]:
    """Keep `folder` to this run; stop with one line where a run that would mix with it is at work.

    The kernel lets go of the lock of a process that dies. Where the disk knows no locks, the file
    itself is the lock, and is void once its process has gone.
    """
    own = folder / (".predict.lock" if shard == WHOLE else f".predict-{_between(shard)}.lock")
    descriptor = _take(own)
    try:
        for other in sorted(folder.glob(".predict*.lock")):
            if other != own and _mixes(other, shard) and _is_held(other):
                raise _in_use(other)
        yield
    finally:
        if sys.platform == "win32":  # which removes no open file
            os.close(descriptor)
        with suppress(OSError):
            own.unlink()
        if sys.platform != "win32":
            os.close(descriptor)


def _between(shard: Shard) -> str:
    return f"{shard.number}-of-{shard.count}"


def _mixes(other: Path, shard: Shard) -> bool:
    """Tell whether the other run may come upon the same case."""
    match = _NAME.fullmatch(other.name)
    if match is None:
        return False
    return shard == WHOLE or match[2] is None or int(match[2]) != shard.count


def _take(path: Path) -> int:
    """Open and lock the file; once more if another run has removed it in between."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _lock(descriptor, path):
            os.close(descriptor)
            raise _in_use(path)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
                return descriptor
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    if sys.platform == "win32":
        with suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            return True
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network disks
        return not _is_alive(path)
    return True


def _is_alive(path: Path) -> bool:
    """Tell whether the process that wrote the file is at work; on another machine it may be."""
    process, host = _owner(path)
    if process == 0:
        return False
    if host != socket.gethostname():
        return True
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _owner(path: Path) -> tuple[int, str]:
    words: list[str] = []
    with suppress(OSError):  # absent; on Windows, locked
        words = path.read_text(encoding="utf-8", errors="replace").split()
    known = len(words) == 2 and words[0].isdigit()
    return (int(words[0]), words[1]) if known else (0, "")


def _in_use(path: Path) -> DatasetError:
    process, host = _owner(path)
    who = f"process {process} on {host}" if process else "another process"
    return DatasetError(
        f"{path.parent} is in use by {who}; wait for it, or name another output folder"
    )
