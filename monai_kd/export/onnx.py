"""A network to one ONNX file that any runtime can open, at any batch and spatial size."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from monai_kd.files import replace_file

OPSET = 18  # the first in which Resize has all that OpenVINO and ONNX Runtime run fast


def write_onnx(network: nn.Module, file: str | os.PathLike[str], *, image: Tensor) -> Path:
    """Write `image (B, C, D, H, W) -> logits`, weights inside, and return the file.

    Batch and spatial sizes stay free; where the network has a `multiple`, every edge has to be one.
    A transformer, and so the teacher, is bound to the size of the example.
    The network is traced in evaluation mode, so that batch norm folds into the convolutions. The
    tracing exporter is taken because it writes the same operators as the one over `torch.export`,
    in half a second instead of fifteen and without onnxscript.

    Args:
        network: any module with one tensor in and one out.
        file: where to write; the file appears whole or not at all.
        image: an example, its size one that the network accepts.
    """
    if find_spec("onnx") is None:
        raise ModuleNotFoundError(
            "ONNX export needs the package onnx, which is not installed: "
            "pip install 'monai_kd[export]'"
        )
    free = {0: "batch"} | {axis: f"size_{axis - 2}" for axis in range(2, image.ndim)}
    with replace_file(file) as temporary, _traceable(network), warnings.catch_warnings():
        _check_answer(network, image)
        warnings.simplefilter("ignore")  # the exporter's own deprecation, sizes taken as constants
        torch.onnx.export(
            network,
            (image,),
            temporary,
            dynamo=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": free, "logits": free},
            opset_version=OPSET,
        )
    return Path(file)


@torch.no_grad()
def _check_answer(network: nn.Module, image: Tensor) -> None:
    """Run once untraced, so that a network can refuse the image in its own words."""
    answer = network(image)
    if not isinstance(answer, Tensor):
        raise TypeError(
            f"{type(network).__name__} answers with {type(answer).__name__}, expected one tensor: "
            "export the plain network, not what is wrapped round it"
        )


@contextmanager
def _traceable(network: nn.Module) -> Iterator[None]:
    """Evaluate inside, without torch's fused attention, which no ONNX operator stands for."""
    modes = {module: module.training for module in network.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    network.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, training in modes.items():
            module.training = training
