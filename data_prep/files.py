"""Writing files so that a name stands for a whole file or for none."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content` to `path` as JSON, whole or not at all."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`; a process killed meanwhile leaves the old file or the new one."""
    if path.exists() and not path.is_file():  # a pipe or a device has no other content to keep
        path.write_bytes(content)
        return
    path = path.resolve()  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as staging:
        temporary = Path(staging) / path.name
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
