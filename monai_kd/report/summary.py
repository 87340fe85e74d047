"""The end of a run on the terminal."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from monai_kd.report.table import make_table
from monai_kd.report.words import format_verdict


def show_results(run_dir: str | os.PathLike[str]) -> None:
    """Print the table, the verdict and where report and bundle lie."""
    run = Path(run_dir)
    metrics: Mapping[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    console = Console(highlight=False, soft_wrap=True)
    console.print(make_table(metrics))
    console.print(f"{format_verdict(metrics)}\n")
    console.print(f"report  {run / 'report.html'}")
    console.print(f"bundle  {run / 'bundle'}")
