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
    keep_ends: bool = False,
) -> Path:
    """Write `<name>.int8.onnx` and return it; ONNX Runtime and OpenVINO both open it.

    Weights are int8 by output channel, activations uint8 by tensor, their ranges the least and the
    largest value seen in `windows (B, C, D, H, W)`: some ten typical ones will do.

    Args:
        onnx_file: what `write_onnx` wrote.
        windows: images as the network will see them, normalised.
        target: where to write instead.
        keep_ends: leave the first and the last convolution in float. They work at full
            resolution: in float, and with the image reordered for it, they are a fifth of the time.
    """
    final = target or onnx_file.with_suffix(".int8.onnx")
    with replace_file(final) as temporary:
        quantize_static(
            onnx_file,
            temporary,
            _Windows(windows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*CONVOLUTIONS, "Resize"],
            nodes_to_exclude=_ends(onnx_file) if keep_ends else [],
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


def _ends(file: Path) -> list[str]:
    """Names of the first and the last convolution."""
    nodes = onnx.load(file, load_external_data=False).graph.node
    names = [node.name for node in nodes if node.op_type in CONVOLUTIONS]
    return [names[0], names[-1]]
