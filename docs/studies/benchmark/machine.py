"""What the machine is and what it can do at most."""

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from docs.studies.benchmark.timing import time_call

MATRIX_SIZES = {"cpu": (1024, 2048, 3072), "cuda": (8192,)}
TRIAD_FLOATS = 2**26  # 256 MiB an array, far beyond any cache
REPEATS = 5
INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16")
PACKAGES = ("torch", "monai", "openvino", "onnxruntime", "onnx", "numpy")


def describe_machine(device: str) -> dict[str, Any]:
    """Return processor or card, the versions, and the peaks measured now; no name, no path."""
    versions = {"versions": {name: version(name) for name in PACKAGES}}
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        memory = round(card.total_memory / 2**30, 1)
        described = {"gpu": card.name, "memory_gib": memory, "cuda": torch.version.cuda}
    else:
        described = {
            "cpu": _read_cpu("model name"),
            "instruction_sets": [s for s in INSTRUCTION_SETS if s in _read_cpu("flags").split()],
            "cores": len(os.sched_getaffinity(0)),
            "threads": torch.get_num_threads(),
        }
    return described | versions | measure_peaks(device)


def measure_peaks(device: str) -> dict[str, float | None]:
    """Return the best matrix product and the best memory traffic that torch reaches."""
    flags = set(_read_cpu("flags").split())
    native = device == "cuda" or not flags.isdisjoint({"avx512_bf16", "amx_bf16"})
    return {
        "fp32_gflops": _best_gflops(torch.float32, device),
        "bf16_gflops": _best_gflops(torch.bfloat16, device) if native else None,
        "bandwidth_gb_s": _triad_gb_s(device),
    }


def merge_peaks(machine: dict[str, Any], later: dict[str, float | None]) -> dict[str, Any]:
    """Keep the better of two measurements: what slowed one down is not the machine's limit."""
    better = {name: max(machine[name], peak) for name, peak in later.items() if peak is not None}
    return machine | better


def _best_gflops(dtype: torch.dtype, device: str) -> float:
    return round(max(_matmul_gflops(size, dtype, device) for size in MATRIX_SIZES[device]), 1)


def _matmul_gflops(size: int, dtype: torch.dtype, device: str) -> float:
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(left)
    return 2e-6 * size**3 / _best_ms(lambda: torch.mm(left, right, out=product), device)


def _triad_gb_s(device: str) -> float:
    """Stream's triad, `a = b + s c`: two arrays read, one written."""
    a, b, c = (torch.ones(TRIAD_FLOATS, device=device) for _ in range(3))
    milliseconds = _best_ms(lambda: torch.add(b, c, alpha=0.5, out=a), device)
    return round(3e-6 * a.numel() * a.element_size() / milliseconds, 2)


def _best_ms(call: Callable[[], object], device: str) -> float:
    call()
    return min(time_call(call, device) for _ in range(REPEATS))


def _read_cpu(field: str) -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
