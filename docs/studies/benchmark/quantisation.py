"""Post-training static int8 of an ONNX network, from a few windows of real images."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from monai_kd.files import replace_file

CONVOLUTIONS = ("Conv", "ConvTranspose")


def quantise(
    onnx_file: Path,
    windows: Iterable[NDArray[np.float32]],
    *,
    target: Path | None = None,
) -> Path:
    """Write `<name>.int8.onnx` and return it; ONNX Runtime and OpenVINO both open it.

    Weights are int8 by output channel, activations uint8 by tensor, their ranges the least and the
    largest value seen in `windows (B, C, D, H, W)`: two dozen typical ones will do. The first
    convolution stays in float: one scale for four modalities, each with a few bright outliers,
    cost more Dice than all other layers together.

    Args:
        onnx_file: what `write_onnx` wrote.
        windows: images as the network will see them, normalised.
        target: where to write instead.
    """
    final = target or onnx_file.with_suffix(".int8.onnx")
    with replace_file(final) as temporary:
        quantize_static(
            onnx_file,
            temporary,
            _Windows(windows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[_first_convolution(onnx_file)],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"QuantizeBias": False},
        )
    return final


class _Windows(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, windows: Iterable[NDArray[np.float32]]) -> None:
        self.windows: Iterator[NDArray[np.float32]] = iter(windows)

    def get_next(self) -> dict[str, Any] | None:
        window = next(self.windows, None)
        return None if window is None else {"image": window}


def _first_convolution(file: Path) -> str:
    nodes = onnx.load(file, load_external_data=False).graph.node
    return next(node.name for node in nodes if node.op_type in CONVOLUTIONS)
