"""The student as ONNX in ONNX Runtime, on the processor."""

from importlib import import_module

from monai_kd.inference.runtimes.runtime import Array, memory_errors
from monai_kd.inference.student import Student


class OnnxRuntime:
    """The ONNX network in ONNX Runtime."""

    device = "CPU"
    note = ""
    bytes_per_voxel = 120

    def __init__(self, student: Student, threads: int) -> None:
        onnxruntime = import_module("onnxruntime")
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_cpu_mem_arena = False  # it would keep the largest case's memory
        options.log_severity_level = 4  # what fails is raised as well
        self._session = onnxruntime.InferenceSession(
            student.onnx_file, options, providers=["CPUExecutionProvider"]
        )

    def run(self, image: Array) -> Array:
        """Return logits (K D H W)."""
        with memory_errors():
            (logits,) = self._session.run(["logits"], {"image": image[None]})
        first: Array = logits[0]
        return first

    def release(self) -> None:
        """Nothing is kept."""
