"""Restart with the allocator's settings, which glibc reads once, and measure."""

import sys
from importlib.util import find_spec

from docs.studies.benchmark.environment import restart

if __name__ == "__main__":
    missing = [name for name in ("onnx", "onnxruntime", "openvino") if find_spec(name) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed: pip install 'monai_kd[export]'")
    restart("docs.studies.benchmark.measure")
