"""The student in OpenVINO, ONNX Runtime or torch: whichever is installed, and all agree."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from data_prep.parallel import count_cores
from monai_kd.inference.budget import is_want_of_memory
from monai_kd.inference.student import MEND, Student

Array = NDArray[np.float32]
# What tells of a want of memory in the words of OpenVINO, oneDNN, ONNX Runtime and torch.
KEPT_VOXELS = 192**3  # a larger image's memory, 63 bytes a voxel, OpenVINO would keep for ever
# Only OpenVINO's converter of models, which we never call, would import what sends usage
# statistics; without it the import takes a third of the time.
UNWANTED = ("openvino.tools.ovc", "openvino_telemetry")


class Runtime(Protocol):
    """A student that is ready to run.

    `bytes_per_voxel` was measured: how much the peak memory of the process grows by each voxel
    of the image, its four channels and three regions counted in. `note` says what a person should
    know of the choice of the device; mostly it is empty.
    """

    name: str
    device: str
    threads: int
    bytes_per_voxel: int
    note: str

    def run(self, image: Array) -> Array:
        """Return logits (R, D, H, W) of an image (C, D, H, W); the next call may overwrite them.

        Raise a MemoryError where the image is too large.
        """

    def release(self) -> None:
        """Give back the memory that is kept for the next image."""


def open_runtime(student: Student, *, name: str = "auto", threads: int | None = None) -> Runtime:
    """Load the student into a runtime; by default the first of them that can run it here."""
    if name == "auto":
        return _open_first(student, threads or count_cores())
    if name not in _RUNTIMES:
        raise DatasetError(f"no runtime {name!r}, expected auto, {', '.join(_RUNTIMES)}")
    if find_spec(name) is None:
        extra = "" if name == "torch" else "[export]"
        raise DatasetError(f"{name} is not installed: pip install 'monai_kd{extra}'")
    return _open(name, student, threads or count_cores())


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


class OpenVinoRuntime:
    """The ONNX network in OpenVINO, on the processor."""

    device = "CPU"
    note = ""
    bytes_per_voxel = 120

    def __init__(self, student: Student, threads: int) -> None:
        file = _check_file(student.onnx_file)
        with hide_modules(UNWANTED):
            openvino = import_module("openvino")
        self.name = f"openvino {openvino.__version__.partition('-')[0]}"
        self.threads = threads
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # the same mask on every processor
        }
        with _in_one_line(file):
            self._compiled = openvino.Core().compile_model(file, "CPU", settings)
            self._request = self._compiled.create_infer_request()

    def run(self, image: Array) -> Array:
        """Return logits (R, D, H, W), which the next call overwrites."""
        with _memory_errors():
            self._request.infer({0: image[None]}, share_inputs=True)
        logits: Array = self._request.get_output_tensor().data[0]
        if image[0].size > KEPT_VOXELS:
            logits = logits.copy()
            self.release()
        return logits

    def release(self) -> None:
        """Give back the memory of the largest image so far; the logits go with it."""
        self._compiled.release_memory()


class OnnxRuntime:
    """The ONNX network in ONNX Runtime, on the processor."""

    device = "CPU"
    note = ""
    bytes_per_voxel = 120

    def __init__(self, student: Student, threads: int) -> None:
        file = _check_file(student.onnx_file)
        onnxruntime = import_module("onnxruntime")
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.threads = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_cpu_mem_arena = False  # it would keep the largest case's memory
        options.log_severity_level = 4  # what fails is raised as well
        with _in_one_line(file):
            self._session = onnxruntime.InferenceSession(
                file, options, providers=["CPUExecutionProvider"]
            )

    def run(self, image: Array) -> Array:
        """Return logits (R, D, H, W)."""
        with _memory_errors():
            (logits,) = self._session.run(["logits"], {"image": image[None]})
        first: Array = logits[0]
        return first

    def release(self) -> None:
        """Nothing is kept."""


def _open_torch(student: Student, threads: int) -> Runtime:
    file = _check_file(student.checkpoint)
    module = import_module(
        "monai_kd.inference.runtimes.torch_runtime"
    )  # for torch alone imports seconds
    with _in_one_line(file):
        runtime: Runtime = module.TorchRuntime(student, threads)
    return runtime


_RUNTIMES: Mapping[str, Callable[[Student, int], Runtime]] = MappingProxyType(
    {"openvino": OpenVinoRuntime, "onnxruntime": OnnxRuntime, "torch": _open_torch}
)


def _open_first(student: Student, threads: int) -> Runtime:
    files = {"torch": student.checkpoint}
    fault: DatasetError | None = None
    for name in _RUNTIMES:
        if files.get(name, student.onnx_file).is_file() and find_spec(name) is not None:
            try:
                return _open(name, student, threads)
            except DatasetError as error:
                if not isinstance(error.__cause__, ImportError):
                    raise
                fault = fault or error
    raise fault or DatasetError(
        f"{student.folder} has no weights that can be run here: give a bundle with "
        "models/model.onnx, and pip install 'monai_kd[export]'"
    )


def _open(name: str, student: Student, threads: int) -> Runtime:
    try:
        return _RUNTIMES[name](student, threads)
    except ImportError as error:
        raise DatasetError(
            f"{name} is installed but does not load ({_shorten(error)}): install it again, or "
            "choose another --runtime"
        ) from error


def _check_file(file: Path) -> Path:
    if not file.is_file():
        raise DatasetError(f"no weights {file}: {MEND}")
    return file


@contextmanager
def _in_one_line(file: Path) -> Iterator[None]:
    """Say in one line that weights cannot be loaded, in whatever words the runtime said it."""
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        if is_want_of_memory(error):
            raise DatasetError(f"not enough memory to load {file}: close other programs") from error
        raise DatasetError(
            f"{file} holds no weights of this student ({_shorten(error)}): {MEND}"
        ) from error


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Raise a MemoryError where a runtime says the same in an error of its own."""
    try:
        yield
    except Exception as error:
        if not is_want_of_memory(error):
            raise
        raise MemoryError(_shorten(error)) from error


def _shorten(error: BaseException, most: int = 120) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]}..."
