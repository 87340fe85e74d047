"""A file that only grows: lines of JSON, each a name and values, the last of a name counts."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


def append_line(path: Path, name: str, values: Sequence[Any]) -> None:
    """Add values under a name; several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps([name, *values]))


def read_lines(path: Path) -> dict[str, list[Any]]:
    """The values of each name. What a killed process tore, or anybody spoilt, is passed over."""
    known: dict[str, list[Any]] = {}
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.split("\n"):
        with suppress(ValueError, TypeError):
            name, *values = json.loads(line)
            known[name] = values
    return known
