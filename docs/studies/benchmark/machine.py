"""What the machine is and what it can do at most."""

import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

MATRIX_SIZES = (1024, 2048, 3072)
TRIAD_FLOATS = 2**26  # 256 MiB an array, far beyond any cache
REPEATS = 5
INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16")
PACKAGES = ("torch", "monai", "openvino", "onnxruntime", "onnx", "numpy")


def describe_machine() -> dict[str, Any]:
    """Return the processor, the versions, and the peaks measured now; no name, no path."""
    described = {
        "cpu": _read_cpu("model name"),
        "instruction_sets": [s for s in INSTRUCTION_SETS if s in _read_cpu("flags").split()],
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    return described | measure_peaks()


def measure_peaks() -> dict[str, float | None]:
    """Return the best matrix product and the best memory traffic that torch reaches."""
    native = not {"avx512_bf16", "amx_bf16"}.isdisjoint(_read_cpu("flags").split())
    return {
        "fp32_gflops": _best_gflops(torch.float32),
        "bf16_gflops": _best_gflops(torch.bfloat16) if native else None,
        "bandwidth_gb_s": round(_triad_gb_s(), 2),
    }


def merge_peaks(machine: dict[str, Any], later: dict[str, float | None]) -> dict[str, Any]:
    """Keep the better of two measurements: what slowed one down is not the machine's limit."""
    better = {name: max(machine[name], peak) for name, peak in later.items() if peak is not None}
    return machine | better


def _best_gflops(dtype: torch.dtype) -> float:
    return round(max(_matmul_gflops(size, dtype) for size in MATRIX_SIZES), 1)


def _matmul_gflops(size: int, dtype: torch.dtype) -> float:
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    product = torch.empty(size, size, dtype=dtype)
    return 2 * size**3 / _best_seconds(lambda: torch.mm(left, right, out=product)) / 1e9


def _triad_gb_s() -> float:
    """Stream's triad, `a = b + s c`: two arrays read, one written."""
    a, b, c = (torch.ones(TRIAD_FLOATS) for _ in range(3))
    seconds = _best_seconds(lambda: torch.add(b, c, alpha=0.5, out=a))
    return 3 * a.numel() * a.element_size() / seconds / 1e9


def _best_seconds(call: Callable[[], object]) -> float:
    call()
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _read_cpu(field: str) -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
