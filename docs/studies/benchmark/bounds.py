"""What each block of the student must take at least, and what it takes in OpenVINO."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import openvino
from openvino.passes import ConstantFolding, Manager

from docs.studies.benchmark.backends import arrange, compile_model, make_image, openvino_core

ROUNDS = 15
# Leading axes of the weights that are the channels of the output, transposed: of the input.
CHANNEL_AXES = {"Convolution": 1, "GroupConvolution": 2, "ConvolutionBackpropData": 1}
FREE = ("Parameter", "Constant", "Result", "Relu", "BatchNormInference")
LOGITS, ELSEWHERE = "logits", "changes of layout between layers"


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
    """Read the units off the student's ONNX network for an image of this shape.

    A convolution is a unit with the batch norm and activation that follow it: it reads its input
    and weights once and writes its output once. A sum is fused into what makes one of its terms,
    and reads the other. So the bytes are those of a runtime that goes layer after layer with
    caches too small to hold a map; one that fuses layers or keeps maps in its cache needs fewer.
    """
    model = openvino_core().read_model(file)
    model.reshape(list(shape))
    passes = Manager()
    passes.register_pass(ConstantFolding())  # what is computed from shapes alone
    passes.run_passes(model)
    nodes = (node for node in model.get_ordered_ops() if node.get_type_name() not in FREE)
    return [_read_unit(node) for node in nodes]


def bound_blocks(units: Iterable[Unit], **machine: Any) -> dict[str, dict[str, float]]:
    """Return each block's MACs, MiB, bound, and bound layer by layer, never the lesser.

    `machine` is what `bound_ms` asks for.
    """
    blocks: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        blocks[unit.block].append(unit)
    return {name: _bound_block(name, found, machine) for name, found in blocks.items()}


def time_blocks(
    file: Path, shape: tuple[int, ...], *, precision: str, layout: str
) -> dict[str, float]:
    """Return the milliseconds of each block by OpenVINO's counters, medians of several passes."""
    compiled = compile_model(file, precision, shape=shape, layout=layout, count=True)
    nodes = compiled.get_runtime_model().get_ordered_ops()
    blocks = {node.get_friendly_name(): _block_of(node) for node in nodes}
    request, image = compiled.create_infer_request(), arrange(make_image(shape[-1]), layout)
    passes: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        request.infer({0: image}, share_inputs=True)
        for name, taken in _sum_counters(request, blocks).items():
            passes[name].append(taken)
    return {name: median(taken) for name, taken in passes.items()}


def name_block(layer: str) -> str:
    """The student's block in a layer's name: `encoder.1.1` in `/encoder.1/encoder.1.1/body/...`.

    The last layer is named after the output or, where OpenVINO splits it, after its operator.
    """
    found = re.match(r"/encoder\.\d+/(encoder\.\d+\.\d+)/|/(head)/(raises\.\d+)/", layer)
    if found:
        return ".".join(part for part in found.groups() if part)
    return LOGITS if layer.startswith(("logits", "Convolution")) else ELSEWHERE


def _read_unit(node: openvino.Node) -> Unit:
    kind, block = node.get_type_name(), name_block(node.get_friendly_name())
    inputs = [tuple(value.get_shape()) for value in node.input_values()]
    if kind == "Add":
        return Unit(block, 0, min(map(prod, inputs)))
    if kind not in CHANNEL_AXES:
        raise ValueError(f"{node.get_friendly_name()} is a {kind}: teach bounds.py what it moves.")
    image, weights, written = prod(inputs[0]), inputs[1], prod(node.get_output_shape(0))
    seen = image if kind == "ConvolutionBackpropData" else written
    macs = seen * prod(weights[CHANNEL_AXES[kind] :])
    return Unit(block, macs, image + prod(weights) + written)


def _bound_block(name: str, units: list[Unit], machine: Mapping[str, Any]) -> dict[str, float]:
    whole = Unit(name, sum(unit.macs for unit in units), sum(unit.numbers for unit in units))
    return {
        "macs": whole.macs,
        "mib": whole.numbers * machine["width"] / 2**20,
        "bound_ms": whole.bound_ms(**machine),
        "layers_bound_ms": sum(unit.bound_ms(**machine) for unit in units),
    }


def _block_of(node: openvino.Node) -> str:
    """The block of the layers that were fused into this one; a change of layout belongs to none.

    A layer whose name was lost in the fusion belongs where its result goes.
    """
    info = node.get_rt_info()
    kind, layers = (str(info[key].astype(str)) for key in ("layerType", "originalLayersNames"))
    named = [name for name in map(name_block, layers.split(",")) if name != ELSEWHERE]
    if named or kind in ("Reorder", "Output"):
        return named[0] if named else ELSEWHERE
    takers = node.output(0).get_target_inputs()
    return next((_block_of(taker.get_node()) for taker in takers), ELSEWHERE)


def _sum_counters(request: openvino.InferRequest, blocks: Mapping[str, str]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for counter in request.get_profiling_info():
        milliseconds = counter.real_time.total_seconds() * 1000
        sums[blocks.get(counter.node_name, ELSEWHERE)] += milliseconds
    return sums
