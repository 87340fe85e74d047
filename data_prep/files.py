"""Writing files so that a name stands for a whole file or for none."""

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
