"""The student as ONNX in OpenVINO, on the processor: the fastest of the runtimes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from monai_kd.inference.runtimes.runtime import Array, memory_errors
from monai_kd.inference.student import Student

KEPT_VOXELS = 192**3  # a larger image's memory, 63 bytes a voxel, OpenVINO would keep for ever
# Only OpenVINO's converter of models, which we never call, would import what sends usage
# statistics; without it the import takes a third of the time.
UNWANTED = ("openvino.tools.ovc", "openvino_telemetry")


class OpenVinoRuntime:
    """The ONNX network in OpenVINO."""

    device = "CPU"
    note = ""
    bytes_per_voxel = 120

    def __init__(self, student: Student, threads: int) -> None:
        with hide_modules(UNWANTED):
            openvino = import_module("openvino")
        self.name = f"openvino {openvino.__version__.partition('-')[0]}"
        self.threads = threads
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # the same mask on every processor
        }
        self._compiled = openvino.Core().compile_model(student.onnx_file, "CPU", settings)
        self._request = self._compiled.create_infer_request()

    def run(self, image: Array) -> Array:
        """Return logits (K D H W), which the next call overwrites."""
        with memory_errors():
            self._request.infer({0: image[None]}, share_inputs=True)
        logits: Array = self._request.get_output_tensor().data[0]
        if image[0].size > KEPT_VOXELS:
            logits = logits.copy()
            self.release()
        return logits

    def release(self) -> None:
        """Give back the memory of the largest image so far; the logits go with it."""
        self._compiled.release_memory()


@contextmanager
def hide_modules(modules: tuple[str, ...]) -> Iterator[None]:
    """Let imports inside believe that modules are not installed, unless they are loaded already."""
    hidden = [name for name in modules if name not in sys.modules]
    loaded: dict[str, Any] = sys.modules
    loaded.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            loaded.pop(name, None)
