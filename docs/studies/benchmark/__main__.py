"""Restart with the allocator's settings, which glibc reads once, and measure."""

import os
import sys

from docs.studies.benchmark.environment import benchmark_environment

if __name__ == "__main__":
    command = [sys.executable, "-m", "docs.studies.benchmark.measure", *sys.argv[1:]]
    os.execve(sys.executable, command, benchmark_environment())  # noqa: S606  # no shell is wanted
