"""The same on a CUDA device: latency, throughput and memory at two batch sizes."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from itertools import product
from typing import Any

import torch

from docs.studies.benchmark.backends import DTYPES, LAYOUTS, Candidate, make_image
from docs.studies.benchmark.networks import count_window, make_network
from docs.studies.benchmark.training import prepare_step

Row = dict[str, Any]
BATCHES = (1, 8)
WARM_UPS, ROUNDS = 3, 10
MATRIX = 8192
TRAINING_WINDOW = 96


def measure_cuda(
    *, networks: Sequence[str], windows: Sequence[int], tell: Callable[[str], None]
) -> dict[str, Any]:
    """Return `{"machine": ..., "rows": [...]}` with `batch` and `windows_per_s` in every row."""
    machine, rows = _describe_device(), []
    for window, name in product(windows, networks):
        layouts = [_time_layouts(name, window, batch, machine, tell) for batch in BATCHES]
        rows += [row for found in layouts for row in found]
        if window == TRAINING_WINDOW:
            _add_step(rows, name, window, tell)
    return {"machine": machine, "rows": rows}


def _time_layouts(
    name: str, window: int, batch: int, machine: Mapping[str, Any], tell: Callable[[str], None]
) -> list[Row]:
    """Return the best layout's row for eager and compiled torch in each precision."""
    cost = count_window(name, window)
    rows = []
    for backend, precision in product(("torch", "torch_compile"), DTYPES):
        ways = {}
        for layout in LAYOUTS:
            candidate = Candidate(name, backend, precision, window, layout)
            ways[layout] = _measure(candidate, batch)
            tell(f"{candidate.title} batch {batch}: {ways[layout]}")
        ways = {layout: found for layout, found in ways.items() if found}
        if not ways:
            continue
        layout = min(ways, key=lambda way: ways[way][0])
        milliseconds, peak = ways[layout]
        flops = 2e-6 * cost["macs"] * batch / milliseconds  # GFLOP/s
        rows.append(
            {
                "network": name,
                "backend": backend,
                "precision": precision,
                "window": window,
                "batch": batch,
                "ms": round(milliseconds, 3),
                **cost,
                "peak_mib": round(peak, 1),
                "windows_per_s": round(1000 * batch / milliseconds, 2),
                "layout": layout,
                "ms_by_layout": {way: round(found[0], 3) for way, found in ways.items()},
                "share_of_peak": round(flops / machine[f"{precision}_gflops"], 4),
            }
        )
    return rows


def _measure(candidate: Candidate, batch: int) -> tuple[float, float] | None:
    """Return milliseconds and MiB over weights and image; nothing if memory does not suffice."""
    layout, dtype = LAYOUTS[candidate.layout], DTYPES[candidate.precision]
    torch.cuda.empty_cache()
    try:
        network = make_network(candidate.network, candidate.window)
        network = network.to("cuda", dtype=dtype, memory_format=layout)
        image = make_image(candidate.window).expand(batch, -1, -1, -1, -1)
        image = image.to("cuda", dtype=dtype, memory_format=layout).contiguous(memory_format=layout)
        if candidate.backend == "torch_compile":
            torch.compiler.reset()
            network = torch.compile(network, dynamic=False)
        with torch.inference_mode():
            return _time_on_device(lambda: network(image))
    except torch.cuda.OutOfMemoryError:
        return None


def _time_on_device(call: Callable[[], object]) -> tuple[float, float]:
    """Return the median of several calls in milliseconds, and the peak over what was there."""
    for _ in range(WARM_UPS):
        call()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    taken = []
    for _ in range(ROUNDS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        taken.append(start.elapsed_time(end))
    return sorted(taken)[ROUNDS // 2], (torch.cuda.max_memory_allocated() - before) / 2**20


def _add_step(rows: list[Row], name: str, window: int, tell: Callable[[str], None]) -> None:
    """Time a training step of the best layout, in the row of torch fp32 at batch 1."""
    keys = {"network": name, "backend": "torch", "precision": "fp32", "window": window, "batch": 1}
    row = next((row for row in rows if keys.items() <= row.items()), None)
    if row is None:
        return
    torch.cuda.empty_cache()
    candidate = Candidate(name, "torch", "fp32", window, row["layout"])
    try:
        step = prepare_step(candidate, device="cuda")
        row["train_step_ms"] = round(_time_on_device(step)[0], 2)
    except torch.cuda.OutOfMemoryError:
        row["train_step_ms"] = None
    tell(f"{candidate.title} training step: {row['train_step_ms']} ms")


def _describe_device() -> dict[str, Any]:
    device = torch.cuda.get_device_properties(0)
    peaks = {f"{name}_gflops": _matmul_gflops(dtype) for name, dtype in DTYPES.items()}
    return {
        "gpu": device.name,
        "memory_gib": round(device.total_memory / 2**30, 1),
        "versions": {name: version(name) for name in ("torch", "monai")},
        "cuda": torch.version.cuda,
        **peaks,
        "bandwidth_gb_s": _copy_gb_s(),
    }


def _matmul_gflops(dtype: torch.dtype) -> float:
    left, right = (torch.randn(MATRIX, MATRIX, device="cuda").to(dtype) for _ in range(2))
    milliseconds, _ = _time_on_device(lambda: left @ right)
    return round(2e-6 * MATRIX**3 / milliseconds, 1)


def _copy_gb_s() -> float:
    source = torch.ones(2**28, device="cuda")
    target = torch.empty_like(source)
    milliseconds, _ = _time_on_device(lambda: target.copy_(source))
    return round(2e-6 * source.numel() * source.element_size() / milliseconds, 1)
