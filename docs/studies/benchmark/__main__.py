"""Restart with the allocator's settings, which glibc reads once, and measure."""

import os
import sys
from importlib.util import find_spec

from docs.studies.benchmark.environment import benchmark_environment

if __name__ == "__main__":
    missing = [name for name in ("onnx", "onnxruntime", "openvino") if find_spec(name) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed: pip install 'monai_kd[export]'")
    command = [sys.executable, "-m", "docs.studies.benchmark.measure", *sys.argv[1:]]
    os.execve(sys.executable, command, benchmark_environment())  # noqa: S606  # no shell is wanted
