"""One network in one runtime, precision, layout and batch on one device, ready to be called."""

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
from docs.studies.benchmark.timing import Call

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
    batch: int = 1
    layout: str = "contiguous"
    device: str = "cpu"

    @classmethod
    def of(cls, row: Mapping[str, Any], device: str) -> "Candidate":
        """The one that a row of the result tells of."""
        names = [field.name for field in fields(cls) if field.name != "device"]
        return cls(**{name: row[name] for name in names}, device=device)

    @property
    def row(self) -> tuple[str, str, str, int, int]:
        """What it shares with its other layouts."""
        return self.network, self.backend, self.precision, self.window, self.batch

    def __str__(self) -> str:
        """How it is told to a person."""
        layout = "" if self.backend == "onnxruntime" else f" {self.layout}"
        size = f"{self.window}^3 batch {self.batch}"
        return f"{self.network} {self.backend} {self.precision}{layout} {size}"

    @property
    def onnx_file(self) -> str:
        """Where its ONNX network lies; UNETR and SwinUNETR are traced for one window."""
        suffix = ".int8.onnx" if self.precision == "int8" else ".onnx"
        return f"{self.network}-{self.window}{suffix}"


def prepare(candidate: Candidate, files: Path) -> Call:
    """Return a call that runs one forward pass; `files` is where `onnx_file` lies."""
    image = make_image(candidate.window, candidate.batch)
    if candidate.backend.startswith("torch"):
        network = make_network(candidate.network, candidate.window)
        dtype, compiles = DTYPES[candidate.precision], candidate.backend == "torch_compile"
        form = {"device": candidate.device, "dtype": dtype, "layout": candidate.layout}
        return prepare_torch(network, image, compiles=compiles, **form)
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


def make_image(window: int, batch: int = 1) -> torch.Tensor:
    """Return smooth noise of the spread that a normalised scan has."""
    size = (1, CHANNELS["in_channels"], *[window // 8] * 3)
    coarse = torch.randn(size, generator=torch.manual_seed(0))
    fine = nn.functional.interpolate(coarse, size=[window] * 3, mode="trilinear")
    return fine.expand(batch, -1, -1, -1, -1).contiguous()


def prepare_torch(
    network: nn.Module,
    image: torch.Tensor,
    *,
    layout: str,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    compiles: bool = False,
) -> Call:
    """Return a call of the network in eager or compiled torch."""
    form = {"device": device, "dtype": dtype, "memory_format": LAYOUTS[layout]}
    run: Callable[[torch.Tensor], object] = network.to(**form)
    image = image.to(**form)
    if compiles:
        torch.compiler.reset()
        options = {"freezing": True} if device == "cpu" else None
        run = torch.compile(run, dynamic=False, options=options)
    return torch.inference_mode()(lambda: run(image))


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
    open_request = cache(compiled.create_infer_request)  # at the first call, as it takes the memory

    def forward(image: Array) -> Array:
        open_request().infer({0: image}, share_inputs=True)
        return open_request().get_output_tensor().data

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
