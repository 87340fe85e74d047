"""What each block of a network must take at least, and what it takes in OpenVINO."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import openvino

from docs.studies.benchmark.backends import compile_model, make_image, openvino_core

ROUNDS = 15
MOVING = ("Interpolate", "ReduceMean", "MaxPool", "AvgPool", "AdaptiveAvgPool")
HEAD, ELSEWHERE = "head", "between the blocks"


@dataclass(frozen=True)
class Unit:
    """One fused layer: its block, its multiply-accumulates, the numbers it reads and writes."""

    block: str
    macs: int
    numbers: int

    def bound_ms(self, *, gflops: float, gb_s: float, width: int) -> float:
        """`max(2 MACs / peak, bytes / bandwidth)`, a number being `width` bytes."""
        return 1e3 * max(2 * self.macs / (gflops * 1e9), self.numbers * width / (gb_s * 1e9))


def list_units(file: Path, shape: tuple[int, ...]) -> list[Unit]:
    """Read the units off an ONNX network for an image of this shape.

    A convolution is a unit with the batch norm and activation that follow it: it reads its input
    and weights once and writes its output once. Resizing and pooling read and write once. A sum
    or product of two maps is fused into what makes one of them, and reads the other. Everything
    else counts as free. So this is a lower bound for a runtime that runs layer after layer.
    """
    model = openvino_core().read_model(file)
    model.reshape(list(shape))
    units = [_read_unit(node) for node in model.get_ordered_ops()]
    return [unit for unit in units if unit.numbers]


def bound_blocks(units: Iterable[Unit], **machine: Any) -> dict[str, dict[str, float]]:
    """Return for each block its bound, MACs and bytes; `machine` is what `bound_ms` asks for."""
    blocks: dict[str, dict[str, float]] = defaultdict(lambda: {"bound_ms": 0, "macs": 0, "mib": 0})
    for unit in units:
        block = blocks[unit.block]
        block["bound_ms"] += unit.bound_ms(**machine)
        block["macs"] += unit.macs
        block["mib"] += unit.numbers * machine["width"] / 2**20
    return dict(blocks)


def time_blocks(file: Path, shape: tuple[int, ...], *, precision: str) -> dict[str, float]:
    """Return the milliseconds of each block by OpenVINO's counters, medians of several passes."""
    compiled = compile_model(file, precision, shape=shape, count=True)
    blocks = {node.get_friendly_name(): _block_of(node) for node in _executed(compiled)}
    request, image = compiled.create_infer_request(), make_image(shape[-1]).numpy()
    passes: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        request.infer({0: image}, share_inputs=True)
        for name, taken in _sum_counters(request, blocks).items():
            passes[name].append(taken)
    return {name: median(taken) for name, taken in passes.items()}


def name_block(layer: str) -> str:
    """The block in a layer's name: `encoder.0.1` in `/encoder.0/encoder.0.1/body/...`.

    The last layer is named after the output or, where OpenVINO splits it, not at all.
    """
    parts = layer.strip("/").split("/")
    if len(parts) == 1 or parts[0] == "logits":
        return HEAD if layer.startswith(("logits", "Convolution")) else ELSEWHERE
    nested = len(parts) > 2 and re.fullmatch(re.escape(parts[0]) + r"\.\d+", parts[1])
    return parts[1] if nested and parts[0][-1].isdigit() else parts[0]


def _read_unit(node: openvino.Node) -> Unit:
    kind, block = node.get_type_name(), name_block(node.get_friendly_name())
    if not (node.get_output_size() and node.get_input_size()):
        return Unit(block, 0, 0)
    inputs = [tuple(value.get_shape()) for value in node.input_values()]
    written = prod(node.get_output_shape(0))
    if kind in ("Convolution", "GroupConvolution", "MatMul"):
        columns = inputs[1][-1] if kind == "MatMul" else inputs[1][0]
        outputs = prod(inputs[1][:2]) if kind == "GroupConvolution" else columns
        macs = written * prod(inputs[1]) // outputs
        return Unit(block, macs, written + prod(inputs[0]) + prod(inputs[1]))
    if kind in ("ConvolutionBackpropData", "GroupConvolutionBackpropData"):
        grouped = kind.startswith("Group")
        channels = prod(inputs[1][:2]) if grouped else inputs[1][0]
        macs = prod(inputs[0]) * prod(inputs[1]) // channels
        return Unit(block, macs, written + prod(inputs[0]) + prod(inputs[1]))
    if kind in MOVING:
        return Unit(block, 0, written + prod(inputs[0]))
    if kind in ("Add", "Multiply") and not _has_constant(node):
        return Unit(block, 0, min(map(prod, inputs)))
    return Unit(block, 0, 0)


def _has_constant(node: openvino.Node) -> bool:
    makers = (value.get_node().get_type_name() for value in node.input_values())
    return "Constant" in makers


def _executed(compiled: openvino.CompiledModel) -> list[openvino.Node]:
    nodes: list[openvino.Node] = compiled.get_runtime_model().get_ordered_ops()
    return nodes


def _block_of(node: openvino.Node) -> str:
    """The block of the layers that were fused into this one; a layout change belongs to none."""
    info = node.get_rt_info()
    names = str(info["originalLayersNames"].astype(str)).split(",")
    found = [name_block(name) for name in names]
    return next((name for name in found if name != ELSEWHERE), ELSEWHERE)


def _sum_counters(request: openvino.InferRequest, blocks: Mapping[str, str]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for counter in request.get_profiling_info():
        milliseconds = counter.real_time.total_seconds() * 1000
        sums[blocks.get(counter.node_name, ELSEWHERE)] += milliseconds
    return sums
