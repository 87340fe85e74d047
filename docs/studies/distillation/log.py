"""What was run: kept line by line, so that an interrupted study goes on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Log:
    """One line of JSON for each run, read again only by the setting that it was written with."""

    path: Path
    setting: dict[str, Any]

    def append(self, row: dict[str, Any]) -> None:
        """Add a run."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | {"setting": self.setting}) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All runs of this setting."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return [row for row in map(json.loads, lines) if row["setting"] == self.setting]
