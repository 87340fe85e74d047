"""A damaged input: files in memory, written below a folder, and how predict is asked for it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Random = np.random.Generator


@dataclass(frozen=True)
class Content:
    """The bytes of a file; zeros that take no place on the disk follow up to `size`."""

    start: bytes
    size: int = 0

    def write(self, path: str) -> None:
        """Write it to a path that may be any the system takes."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(self.start)
            if self.size > len(self.start):
                file.truncate(self.size)


@dataclass(frozen=True)
class Mutant:
    """Files by their path below a folder; `told` says what was done to them.

    `order` is given to predict where the input, else the folder `case`, is one 4D file.
    """

    kind: str
    told: str
    files: Mapping[str, Content]
    input: str = "case"
    options: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path | None:
        """Write the files; return the input for predict, None where no such name can be."""
        try:
            for name, content in self.files.items():
                content.write(f"{folder}/{name}")
        except (OSError, ValueError):
            return None
        return folder / self.input
