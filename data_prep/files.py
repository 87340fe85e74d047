"""Files found below a folder, and written so that a name stands for a whole file or for none."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content` to `path` as JSON, whole or not at all."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`; a process killed meanwhile leaves the old file or the new one."""
    if path.exists() and not path.is_file():  # a pipe or a device has no other content to keep
        path.write_bytes(content)
        return
    with replace_file(path.resolve()) as temporary:  # a link stays one
        temporary.write_bytes(content)


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield where to write what shall be `path`; on success it takes that name, on error it goes.

    A process killed at any moment leaves the old file or the new one, never a part.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=final.parent) as staging:
        temporary = Path(staging) / final.name
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(final)


def walk_files(root: Path) -> Iterator[Path]:
    """Go through all files below `root`, hidden ones apart; a link that leads back goes nowhere."""
    seen: set[str] = set()
    for folder, inner, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        inner[:] = [] if real in seen else sorted(name for name in inner if name[0] != ".")
        if real not in seen:
            yield from (Path(folder, name) for name in sorted(files) if name[0] != ".")
        seen.add(real)


def hash_files(*paths: Path) -> str:
    """Return the sha256 of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
