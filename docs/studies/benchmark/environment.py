"""The process in which is measured, the same for every network. Standard library only."""

import os
import sys
from typing import NoReturn

# By default glibc returns each large tensor to the system and gets fresh, zeroed pages for the
# next, which costs SegResNet 40 % of its time. Every network is spared that alike.
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**36),
    "MALLOC_TOP_PAD_": str(2**28),
}


def is_prepared() -> bool:
    """Say whether this process began with the settings, which glibc reads once."""
    return ALLOCATOR.items() <= os.environ.items()


def restart(module: str) -> NoReturn:
    """Become `python -m module` with the same arguments, the allocator set, a thread per core."""
    threads = os.environ.get("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    environment = {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-m", module, *sys.argv[1:]]
    os.execve(sys.executable, command, environment)  # noqa: S606  # no shell is wanted
