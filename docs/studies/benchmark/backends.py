"""One network in one runtime, precision and layout, ready to be called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch
from numpy.typing import NDArray
from openvino.preprocess import PrePostProcessor
from torch import nn

from docs.studies.benchmark.networks import CHANNELS, make_network

Call = Callable[[], object]
Array = NDArray[np.float32]

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # what int8 leaves over runs in fp32
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Candidate:
    """What is measured: a row of the result, or one layout of it."""

    network: str
    backend: str
    precision: str
    window: int
    layout: str = "contiguous"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Candidate":
        """The one that a row of the result tells of."""
        return cls(*(row[field.name] for field in fields(cls)))

    @property
    def row(self) -> tuple[str, str, str, int]:
        """What it shares with its other layouts."""
        return self.network, self.backend, self.precision, self.window

    def __str__(self) -> str:
        """How it is told to a person."""
        layout = f" {self.layout}" if self.backend in ("torch", "openvino") else ""
        return f"{self.network} {self.backend} {self.precision}{layout} {self.window}^3"

    @property
    def onnx_file(self) -> str:
        """Where its ONNX network lies; UNETR and SwinUNETR are traced for one window."""
        suffix = ".int8.onnx" if self.precision == "int8" else ".onnx"
        return f"{self.network}-{self.window}{suffix}"


def prepare(candidate: Candidate, files: Path) -> Call:
    """Return a call that runs one forward pass; `files` is where `onnx_file` lies."""
    image = make_image(candidate.window)
    if candidate.backend.startswith("torch"):
        return prepare_torch(candidate, image)
    file, array = files / candidate.onnx_file, arrange(image, candidate.layout)
    compiled = (
        compile_onnxruntime(file)
        if candidate.backend == "onnxruntime"
        else compile_openvino(
            file, candidate.precision, shape=tuple(image.shape), layout=candidate.layout
        )
    )
    return lambda: compiled(array)


def arrange(image: torch.Tensor, layout: str) -> Array:
    """Return `(B, C, D, H, W)` as it is, or as `(B, D, H, W, C)`."""
    if layout == "channels_last_3d":
        image = image.movedim(1, -1).contiguous()
    array: Array = image.numpy()
    return array


def make_image(window: int) -> torch.Tensor:
    """Return smooth noise of the spread that a normalised scan has."""
    coarse = torch.randn(
        1, CHANNELS["in_channels"], *[window // 8] * 3, generator=torch.manual_seed(0)
    )
    return nn.functional.interpolate(coarse, size=[window] * 3, mode="trilinear")


def prepare_torch(candidate: Candidate, image: torch.Tensor) -> Call:
    """Return a call of the network in eager or compiled torch."""
    layout, dtype = LAYOUTS[candidate.layout], DTYPES[candidate.precision]
    network: Callable[[torch.Tensor], torch.Tensor]
    network = make_network(candidate.network, candidate.window).to(
        dtype=dtype, memory_format=layout
    )
    image = image.to(dtype=dtype, memory_format=layout)
    if candidate.backend == "torch_compile":
        torch.compiler.reset()
        network = torch.compile(network, dynamic=False, options={"freezing": True})

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        return network(image)

    return forward


def compile_openvino(
    file: Path,
    precision: str = "fp32",
    *,
    shape: tuple[int, ...] | None = None,
    layout: str = "contiguous",
) -> Callable[[Array], Array]:
    """Return the network of an ONNX file as a function; with `shape`, for images of that alone.

    The result is a copy-free view that the next call overwrites. Precision int8 asks for a file
    that `quantise` wrote. With channels last, image and logits are `(B, D, H, W, C)`.
    """
    compiled = compile_model(file, precision, shape=shape, layout=layout)
    requests: list[openvino.InferRequest] = []  # made at the first call, as it takes the memory

    def forward(image: Array) -> Array:
        if not requests:
            requests.append(compiled.create_infer_request())
        requests[0].infer({0: image}, share_inputs=True)
        return requests[0].get_output_tensor().data

    return forward


def compile_model(
    file: Path,
    precision: str,
    *,
    shape: tuple[int, ...] | None = None,
    layout: str = "contiguous",
    count: bool = False,
) -> openvino.CompiledModel:
    """Compile for one image at a time on as many threads as torch has."""
    core = openvino_core()
    model = core.read_model(file)
    if shape is not None:
        model.reshape(list(shape))
    if layout == "channels_last_3d":
        steps = PrePostProcessor(model)
        for end in (steps.input(), steps.output()):
            end.tensor().set_layout(openvino.Layout("NDHWC"))
            end.model().set_layout(openvino.Layout("NCDHW"))
        model = steps.build()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERF_COUNT": count,
    }
    return core.compile_model(model, "CPU", settings)


@cache
def openvino_core() -> openvino.Core:
    """Return the one core of this process."""
    return openvino.Core()


def compile_onnxruntime(file: Path) -> Callable[[Array], Array]:
    """Return the network of an ONNX file as a function; its memory comes from the allocator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]
