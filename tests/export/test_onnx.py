from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from torch import Tensor, nn

from monai_kd.export.onnx import write_onnx
from monai_kd.networks import EfficientNetStudent, HybridTeacher, TappedNetwork

SIZES = {3: [(32, 32, 32), (48, 32, 64)], 2: [(32, 32), (48, 64)]}
TOLERANCE = 1e-4  # of the largest logit


@pytest.fixture(scope="module", params=[3, 2])
def student(request: pytest.FixtureRequest) -> EfficientNetStudent:
    torch.manual_seed(0)
    network = EfficientNetStudent(request.param)
    network(torch.randn(2, 4, *SIZES[request.param][0]))  # batch norm has statistics of its own
    return network.eval()


@pytest.fixture(scope="module")
def onnx_file(student: EfficientNetStudent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(student, tmp_path_factory.mktemp("onnx") / "s.onnx", image=images(student)[0])


def test_onnx_runtime_agrees_with_torch(student: EfficientNetStudent, onnx_file: Path) -> None:
    session = onnxruntime.InferenceSession(onnx_file)
    for image in images(student):
        logits = session.run(["logits"], {"image": image.numpy()})[0]
        assert difference(student, image, logits) < TOLERANCE


def test_openvino_agrees_with_torch(student: EfficientNetStudent, onnx_file: Path) -> None:
    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(onnx_file, "CPU", precise)
    for image in images(student):
        assert difference(student, image, compiled(image.numpy())["logits"]) < TOLERANCE


def test_torchscript_agrees_with_torch(student: EfficientNetStudent) -> None:
    scripted = torch.jit.script(student)
    for image in images(student):
        assert difference(student, image, scripted(image).detach().numpy()) < TOLERANCE


def test_one_exported_program_agrees_with_torch_at_both_sizes(student: EfficientNetStudent) -> None:
    first = images(student)[0]
    edges = {axis: 16 * torch.export.Dim(f"edge{axis}", min=2) for axis in range(2, first.ndim)}
    program = torch.export.export(student, (first,), dynamic_shapes=(edges,)).module()
    for image in images(student):
        assert difference(student, image, program(image).detach().numpy()) < TOLERANCE


def test_batch_is_free(student: EfficientNetStudent, onnx_file: Path) -> None:
    image = images(student)[0].repeat(3, *[1] * (images(student)[0].ndim - 1))
    logits = onnxruntime.InferenceSession(onnx_file).run(None, {"image": image.numpy()})[0]
    assert difference(student, image, logits) < TOLERANCE


def test_weights_lie_inside_the_file(student: EfficientNetStudent, onnx_file: Path) -> None:
    assert [file.name for file in onnx_file.parent.iterdir()] == ["s.onnx"]
    assert onnx_file.stat().st_size > 4 * sum(p.numel() for p in student.parameters()) * 0.9


def test_mode_of_the_network_is_kept(tmp_path: Path) -> None:
    network = EfficientNetStudent(2).train()
    network.encoder[0].eval()
    write_onnx(network, tmp_path / "s.onnx", image=torch.zeros(1, 4, 32, 32))
    assert network.training
    assert not network.encoder[0].training


def test_failed_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_onnx(nn.Conv2d(3, 1, 1), tmp_path / "s.onnx", image=torch.zeros(1, 4, 32, 32))
    assert not list(tmp_path.iterdir())


def test_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_kd.export.onnx.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'monai_kd\[export\]'"):
        write_onnx(nn.Identity(), tmp_path / "s.onnx", image=torch.zeros(1))


def images(student: EfficientNetStudent) -> list[Tensor]:
    dims = next(p.ndim for p in student.parameters() if p.ndim > 1) - 2
    return [torch.randn(1, 4, *size) for size in SIZES[dims]]


def difference(student: nn.Module, image: Tensor, logits: np.ndarray) -> float:
    """The largest difference of logits, relative to the largest logit."""
    with torch.inference_mode():
        expected = student(image).numpy()
    return float(np.abs(logits - expected).max() / np.abs(expected).max())


def test_an_image_that_the_network_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"33, 32.*multiple of 16"):
        write_onnx(EfficientNetStudent(2), tmp_path / "s.onnx", image=torch.zeros(1, 4, 33, 32))


def test_a_network_that_answers_with_more_than_logits_is_refused(tmp_path: Path) -> None:
    tapped = TappedNetwork(EfficientNetStudent(2))
    with pytest.raises(TypeError, match=r"TappedNetwork answers with NetworkOutput.*plain network"):
        write_onnx(tapped, tmp_path / "s.onnx", image=torch.zeros(1, 4, 32, 32))


def test_the_teacher_is_exported_for_the_size_of_the_example(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = HybridTeacher(stage_channels=(4, 6), hidden_size=32, layers=2).eval()
    image = torch.randn(1, 4, 16, 16, 16)
    file = write_onnx(teacher, tmp_path / "t.onnx", image=image)
    logits = onnxruntime.InferenceSession(file).run(None, {"image": image.numpy()})[0]
    assert difference(teacher, image, logits) < TOLERANCE
