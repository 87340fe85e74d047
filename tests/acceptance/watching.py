"""A process watched from outside: what it takes of the memory, and when."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PREDICT = (sys.executable, "-m", "monai_kd.cli", "predict")
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
SECONDS = 0.02  # between two looks at the resident memory
RARELY = 10  # looks for one at the proportional memory, which takes the kernel longer


@dataclass(frozen=True)
class Sample:
    """Resident and, now and then, proportional bytes at a time in nanoseconds."""

    time_ns: int
    resident: int
    proportional: int | None


@dataclass(frozen=True)
class Watched:
    """How a process ended, what it said, and the memory that it took."""

    exit_code: int
    output: str
    errors: str
    samples: tuple[Sample, ...]


def watch(
    command: Sequence[str | Path], folder: Path, *, stop_when: Callable[[], bool] | None = None
) -> Watched:
    """Run a command to its end, or kill it as soon as `stop_when`; `folder` takes what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    samples: list[Sample] = []
    with (
        (folder / "stdout").open("wb") as said,
        (folder / "stderr").open("wb") as complained,
        subprocess.Popen(command, stdout=said, stderr=complained) as process,
    ):
        while process.poll() is None:
            if stop_when is not None and stop_when():
                process.kill()
            resident = read_resident(process.pid)
            if resident:
                rarely = len(samples) % RARELY == 0
                proportional = _read_proportional(process.pid) if rarely else None
                samples.append(Sample(time.time_ns(), resident, proportional))
            time.sleep(SECONDS)
    told, errors = ((folder / name).read_text("utf-8", "replace") for name in ("stdout", "stderr"))
    return Watched(process.returncode, told, errors, tuple(samples))


def read_resident(process: int) -> int:
    """Return the bytes of a process that are in memory; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _read_proportional(process: int) -> int | None:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)
