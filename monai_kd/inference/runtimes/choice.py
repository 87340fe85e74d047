"""The student in OpenVINO, ONNX Runtime or torch: whichever is installed, and all agree."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from data_prep.errors import DatasetError
from data_prep.parallel import count_cores
from monai_kd.inference.budget import is_want_of_memory
from monai_kd.inference.runtimes.onnx_runtime import OnnxRuntime
from monai_kd.inference.runtimes.openvino_runtime import OpenVinoRuntime
from monai_kd.inference.runtimes.runtime import Runtime, shorten
from monai_kd.inference.student import FIX, Student

TORCH = "torch"
MEASURED_MAPS, MAP_BYTES = 7, 8  # channels and outputs that were measured; of one more, held twice


def _open_torch(student: Student, threads: int) -> Runtime:
    from monai_kd.inference.runtimes.torch_runtime import TorchRuntime  # noqa: PLC0415  (seconds)

    return TorchRuntime(student, threads)


# By the package that each needs, in the order in which they are tried.
RUNTIMES: Mapping[str, Callable[[Student, int], Runtime]] = MappingProxyType(
    {"openvino": OpenVinoRuntime, "onnxruntime": OnnxRuntime, TORCH: _open_torch}
)


def open_runtime(student: Student, *, name: str = "auto", threads: int | None = None) -> Runtime:
    """Load the student into a runtime; by default the first of them that can run it here."""
    if name == "auto":
        return _open_first(student, threads or count_cores())
    if name not in RUNTIMES:
        raise DatasetError(f"no runtime {name!r}, expected auto, {', '.join(RUNTIMES)}")
    if find_spec(name) is None:
        extra = "" if name == TORCH else "[export]"
        raise DatasetError(f"{name} is not installed: pip install 'monai_kd{extra}'")
    return _open(name, student, threads or count_cores())


def _open_first(student: Student, threads: int) -> Runtime:
    fault: DatasetError | None = None
    for name in RUNTIMES:
        if _weights(name, student).is_file() and find_spec(name) is not None:
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


def _weights(name: str, student: Student) -> Path:
    return student.checkpoint if name == TORCH else student.onnx_file


def _open(name: str, student: Student, threads: int) -> Runtime:
    file = _weights(name, student)
    if not file.is_file():
        raise DatasetError(f"no weights {file}: {FIX}")
    with _in_one_line(name, file):
        runtime = RUNTIMES[name](student, threads)
    maps = len(student.task.channels) + len(student.task.outputs)
    runtime.bytes_per_voxel += MAP_BYTES * max(0, maps - MEASURED_MAPS)
    return runtime


@contextmanager
def _in_one_line(name: str, file: Path) -> Iterator[None]:
    """Say in one line why weights cannot be loaded, in whatever words the runtime said it."""
    try:
        yield
    except DatasetError:
        raise
    except ImportError as error:
        raise DatasetError(
            f"{name} is installed but does not load ({shorten(error)}): install it again, or "
            "choose another --runtime"
        ) from error
    except Exception as error:
        if is_want_of_memory(error):
            raise DatasetError(f"not enough memory to load {file}: close other programs") from error
        raise DatasetError(
            f"{file} holds no weights of this student ({shorten(error)}): {FIX}"
        ) from error
