"""How much memory and how many threads this process may use, in a container as well."""

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path

from data_prep.errors import DatasetError
from data_prep.parallel import count_cores

GIB = 2**30
UNKNOWN_BYTES = 4 * GIB  # where it is not known what is free
OWN_BYTES = 300 * 2**20  # of the interpreter with a runtime, torch apart, and no case
USUAL_BYTES = 512 * 2**20  # that a case of 240x240x155 takes: one that takes less is always tried
READ_TIMES = 3  # the bytes of its voxels that a case takes, read beside the one before it
KEPT = 0.05  # of what was given: memory that is free again and not yet returned
MARGIN = 0.1  # of what is free: other programs want some, too
_WANT_OF_MEMORY = ("bad_alloc", "bad alloc", "allocate", "out of memory", "not enough memory")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size(text: str) -> int:
    """Read `6G`, `1.5 GiB`, `800M` or a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 2**26:
        raise ArgumentTypeError(f"{text!r}: expected a size of 64M or more, such as 6G")
    return size


def choose_budget(given: int | None) -> int:
    """Return the bytes to plan with: of those that were given, or of those that are free."""
    return int(given * (1 - KEPT)) if given else measure_free_memory()


def measure_free_memory(root: Path = Path("/")) -> int:
    """Return the bytes that this process may still take, by the machine and by its cgroups."""
    limits = [*_available(root), *_left_by_groups(root)]
    return int(min(limits, default=UNKNOWN_BYTES) * (1 - MARGIN))


def check_need(what: str, needed: int, most_bytes: int | None) -> None:
    """Stop before so many bytes are taken, beside those of the process, where that is too many."""
    if most_bytes is not None and needed > max(most_bytes - OWN_BYTES, USUAL_BYTES):
        total, most = ((size + 2**20 - 1) // 2**20 for size in (needed + OWN_BYTES, most_bytes))
        raise DatasetError(f"not enough memory: {what} would take {total} MiB of {most}")


def is_want_of_memory(error: BaseException) -> bool:
    """Say whether a runtime failed because the memory did not suffice."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _WANT_OF_MEMORY)


def count_threads(root: Path = Path("/")) -> int:
    """Return the cores that affinity and cgroups leave to this process."""
    quotas = [quota for folder in _groups(root, "cpu") for quota in _quota(folder)]
    return max(1, min([count_cores(), *(math.ceil(quota) for quota in quotas)]))


def _available(root: Path) -> Iterator[int]:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    if match:
        yield int(match[1]) * 1024


def _left_by_groups(root: Path) -> Iterator[int]:
    for folder in _groups(root, "memory"):
        for limit, used, idle in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, current = _read(folder / limit).strip(), _read(folder / used).strip()
            if most.isdigit() and current.isdigit():
                cached = re.search(rf"^{idle} (\d+)", _read(folder / "memory.stat"), re.MULTILINE)
                yield max(0, int(most) - int(current) + (int(cached[1]) if cached else 0))


def _quota(folder: Path) -> Iterator[float]:
    words = _read(folder / "cpu.max").split()
    if len(words) != 2:
        words = [_read(folder / f"cpu.cfs_{what}_us").strip() for what in ("quota", "period")]
    if all(word.isdigit() for word in words) and int(words[1]):
        yield int(words[0]) / int(words[1])


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Every group that this process is in, of the second version and of the first, upwards."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controllers and controller)
        own = top / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
