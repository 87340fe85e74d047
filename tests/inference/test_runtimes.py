"""Three runtimes, one answer, and one line for weights that cannot be loaded."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet

from data_prep.errors import DatasetError
from monai_kd.inference.runtimes import choice as runtimes
from monai_kd.inference.runtimes import openvino_runtime, torch_runtime
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.student import Student, read_student
from tests.inference.bundled import change_facts

NAMES = ("openvino", "onnxruntime", "torch")
ROOT = Path(__file__).parents[2]


def make_image(*size: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, *size)).astype(np.float32)


@pytest.mark.parametrize("size", [(32, 48, 40), (8, 8, 8)])
def test_all_runtimes_agree(student: Student, size: tuple[int, int, int]) -> None:
    image = make_image(*size)
    openvino, onnx, plain = (
        open_runtime(student, name=name, threads=1).run(image).copy() for name in NAMES
    )
    assert plain.shape == (3, *size)
    np.testing.assert_allclose(openvino, plain, atol=1e-4)
    np.testing.assert_allclose(onnx, plain, atol=1e-4)
    assert 0.05 < (plain > 0).mean() < 0.95


RESIDENT = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from monai_kd.inference.runtimes import choice, openvino_runtime
from monai_kd.inference.student import read_student
openvino_runtime.KEPT_VOXELS = int(sys.argv[2])
runtime = choice.open_runtime(read_student(Path(sys.argv[1])), name="openvino", threads=1)
runtime.run(np.zeros((4, 128, 128, 128), np.float32))
print(Path("/proc/self/statm").read_text("ascii").split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in memory")
def test_openvino_gives_the_memory_of_a_large_image_back(bundle: Path) -> None:
    given, kept = (
        int(subprocess.check_output([sys.executable, "-c", RESIDENT, bundle, str(voxels)]))
        for voxels in (0, 10**9)
    )
    assert given < 0.95 * kept


def test_memory_that_is_given_back_leaves_the_answer(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, image = open_runtime(student, name="openvino", threads=1), make_image(16, 16, 16)
    kept = runtime.run(image).copy()
    monkeypatch.setattr(openvino_runtime, "KEPT_VOXELS", 0)
    np.testing.assert_array_equal(runtime.run(image), kept)


@pytest.mark.parametrize("name", NAMES)
def test_runtime_tells_what_it_is(student: Student, name: str) -> None:
    runtime = open_runtime(student, name=name, threads=1)
    assert runtime.name.startswith(f"{name} ")
    assert (runtime.device, runtime.threads) == ("CPU", 1)


def test_more_outputs_take_more_memory(student: Student) -> None:
    outputs = {str(value): (value,) for value in range(14)}
    many = replace(student, task=student.task._replace(outputs=outputs))
    usual, more = (open_runtime(s, name="onnxruntime").bytes_per_voxel for s in (student, many))
    assert more == usual + 8 * 11


def test_first_that_is_installed_is_chosen(
    student: Student, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_runtime(student).name.startswith("openvino")
    graph = own_bundle / "models" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:2000])
    with pytest.raises(DatasetError, match=f"{graph} holds no weights"):
        open_runtime(read_student(own_bundle))
    graph.unlink()
    assert open_runtime(read_student(own_bundle)).name.startswith("torch")
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name == "onnxruntime" or None)
    assert open_runtime(student).name.startswith("onnxruntime")


def test_unknown_or_absent_runtime_is_told(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatasetError, match="no runtime 'tensorrt', expected auto, openvino"):
        open_runtime(student, name="tensorrt")
    monkeypatch.setattr(runtimes, "find_spec", lambda _: None)
    with pytest.raises(DatasetError, match=r"pip install 'monai_kd\[export\]'"):
        open_runtime(student, name="openvino")
    with pytest.raises(DatasetError, match="no weights that can be run here"):
        open_runtime(student)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["missing", "empty", "truncated", "text"])
def test_spoilt_weights_are_told_in_one_line(own_bundle: Path, name: str, fault: str) -> None:
    student = read_student(own_bundle)
    file = student.checkpoint if name == "torch" else student.onnx_file
    content = {"empty": b"", "truncated": file.read_bytes()[:2000], "text": b"weights\n" * 99}
    if fault == "missing":
        file.unlink()
    else:
        file.write_bytes(content[fault])
    with pytest.raises(DatasetError) as told:
        open_runtime(student, name=name)
    assert file.name in str(told.value)
    assert "again" in str(told.value)
    assert "\n" not in str(told.value)


class Trap:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


@pytest.mark.filterwarnings("error")  # torch would say more on standard error
@pytest.mark.parametrize(
    "save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))]
)
def test_pickled_code_is_refused_and_never_advised(
    own_bundle: Path, save: Callable[[Any, Path], object]
) -> None:
    save({"model": Trap()}, own_bundle / "models" / "model.pt")
    with pytest.raises(DatasetError, match="holds no plain weights") as told:
        open_runtime(read_student(own_bundle), name="torch")
    assert "weights_only" not in str(told.value)


@pytest.mark.parametrize(
    "definition",
    [
        {"_target_": "os.system", "command": "true"},
        {"_target_": "scripts.other.Network"},
        {"_target_": "monai.networks.nets.unet.warnings"},
        {"_target_": "monai.bundle.download"},
        {"_target_": "UNet", "spatial_dims": {"_target_": "os.system"}},
        {"_target_": "monai_kd.networks.EfficientNetStudent", "variant": "$__import__('os')"},
        {"_target_": "monai_kd.networks.EfficientNetStudent", "colour": 3},
    ],
)
def test_torch_runs_no_network_but_ours(own_bundle: Path, definition: dict[str, object]) -> None:
    change_facts(own_bundle, "inference", network_def=definition)
    with pytest.raises(DatasetError, match=r"torch runs only|is no plain argument"):
        open_runtime(read_student(own_bundle), name="torch")


def test_torch_runs_a_network_of_monai_and_downloads_nothing(own_bundle: Path) -> None:
    shape = {"spatial_dims": 3, "in_channels": 4, "out_channels": 3}
    definition = {"_target_": "UNet", **shape, "channels": [4, 8], "strides": [2]}
    network = UNet(**{name: value for name, value in definition.items() if name != "_target_"})
    torch.save(network.state_dict(), own_bundle / "models" / "model.pt")
    for target in ("UNet", "monai.networks.nets.UNet", "monai.networks.nets.unet.UNet"):
        network_def = definition | {"_target_": target}
        change_facts(own_bundle, "inference", network_def=network_def)
        runtime = open_runtime(read_student(own_bundle), name="torch", threads=1)
        assert runtime.run(make_image(8, 8, 8)).shape == (3, 8, 8, 8)


def test_weights_of_another_network_are_refused(own_bundle: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), own_bundle / "models" / "model.pt")
    with pytest.raises(DatasetError, match="no weights of this student"):
        open_runtime(read_student(own_bundle), name="torch")


def test_want_of_memory_is_one_error_in_all_runtimes(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = open_runtime(student, name="torch")

    def fail(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 10 bytes")

    monkeypatch.setattr(runtime, "_run", fail)
    with pytest.raises(MemoryError, match="allocate"):
        runtime.run(make_image(8, 8, 8))


def test_cuda_without_room_for_a_small_window_goes_to_the_processor(
    student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = open_runtime(student, name="torch")
    assert isinstance(runtime, torch_runtime.TorchRuntime)
    image = make_image(8, 8, 8)
    expected, tries = runtime.run(image), []
    plain = runtime._run

    def fail_once(given: np.ndarray) -> np.ndarray:
        tries.append(runtime.device)
        if len(tries) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(given)

    monkeypatch.setattr(runtime, "_run", fail_once)
    runtime.device = "CUDA:0"
    np.testing.assert_array_equal(runtime.run(image), expected)
    assert tries == ["CUDA:0", "CPU"]


def test_lean_path_imports_neither_torch_nor_monai_nor_telemetry() -> None:
    code = (
        "import sys, monai_kd.cli\n"
        "assert 'openvino' not in sys.modules\n"
        "import monai_kd.inference.segmenting.segmentation\n"
        "import monai_kd.inference.runtimes.choice\n"
        "import monai_kd.inference.runtimes.openvino_runtime as r\n"
        "with r.hide_modules(r.UNWANTED): import openvino\n"
        "told = {'torch', 'monai', 'matplotlib', 'openvino_telemetry'} & set(sys.modules)\n"
        "print(*told)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "\n", "")
