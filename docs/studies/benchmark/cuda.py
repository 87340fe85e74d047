"""The same on a CUDA device: latency, throughput and memory at two batch sizes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from statistics import median
from typing import Any

import torch

from docs.studies.benchmark.backends import DTYPES, LAYOUTS, Call, Candidate, make_image
from docs.studies.benchmark.networks import count_window, make_network
from docs.studies.benchmark.timing import Tell, is_plain, make_rows, tell_failure
from docs.studies.benchmark.training import WINDOW, prepare_step

Row = dict[str, Any]
BATCHES = (1, 8)
WARM_UPS, ROUNDS = 3, 10
MATRIX = 8192


def measure_cuda(
    *, networks: Sequence[str], windows: Sequence[int], full: bool, tell: Tell
) -> Iterator[dict[str, Any]]:
    """Yield `{"machine": ..., "rows": [...]}` after each window, for the batch sizes.

    fp32 is fp32: TF32, which rounds it to ten bits, is off for the networks and the peak.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    machine, rows = _describe_device(), []
    for window in windows:
        for name, batch in product(networks, BATCHES):
            compiled = full or name == "student"
            found = _measure_network(name, window, batch, compiled=compiled, tell=tell)
            if window == WINDOW and batch == 1:
                _add_step(found, tell)
            for row in found:
                flops = 2e-6 * row["macs"] * batch / row["ms"]  # GFLOP/s
                row["windows_per_s"] = round(1000 * batch / row["ms"], 2)
                row["share_of_peak"] = round(flops / machine[f"{row['precision']}_gflops"], 4)
            rows += found
        yield {"machine": machine, "rows": rows}


def _measure_network(
    name: str, window: int, batch: int, *, compiled: bool, tell: Tell
) -> list[Row]:
    """Return a row for the best layout in each precision, and for that layout compiled."""
    cost = count_window(name, window)
    measured: dict[Candidate, tuple[list[float], float]] = {}
    for precision in DTYPES:
        ways = [Candidate(name, "torch", precision, window, layout) for layout in LAYOUTS]
        measured |= _measure_each(ways, batch, tell)
        done = [way for way in ways if way in measured]
        if compiled and done:
            best = min(done, key=lambda way: median(measured[way][0]))
            measured |= _measure_each([replace(best, backend="torch_compile")], batch, tell)
    rows = make_rows({candidate: taken for candidate, (taken, _) in measured.items()})
    for row in rows:
        _, peak = measured[Candidate.of(row)]
        row.update(batch=batch, peak_mib=round(peak, 1), **cost)
    return rows


def _measure_each(
    candidates: Sequence[Candidate], batch: int, tell: Tell
) -> dict[Candidate, tuple[list[float], float]]:
    """Return what `_time_on_device` returns for each candidate that works."""
    found = {}
    for candidate in candidates:
        torch.cuda.empty_cache()
        try:
            with torch.inference_mode():
                taken, peak = found[candidate] = _time_on_device(_prepare(candidate, batch))
            tell(f"{candidate} batch {batch}: {median(taken):.2f} ms, {peak:.0f} MiB")
        except Exception as error:  # memory may not suffice, a compiler may be missing
            tell_failure(f"{candidate} batch {batch}", error, tell=tell)
    return found


def _prepare(candidate: Candidate, batch: int) -> Call:
    layout, dtype = LAYOUTS[candidate.layout], DTYPES[candidate.precision]
    network: Callable[[torch.Tensor], torch.Tensor]
    network = make_network(candidate.network, candidate.window).to(
        "cuda", dtype=dtype, memory_format=layout
    )
    image = make_image(candidate.window).expand(batch, -1, -1, -1, -1)
    image = image.to("cuda", dtype=dtype).contiguous(memory_format=layout)
    if candidate.backend == "torch_compile":
        torch.compiler.reset()
        network = torch.compile(network, dynamic=False)
    return lambda: network(image)


def _time_on_device(call: Callable[[], object]) -> tuple[list[float], float]:
    """Return the milliseconds of several calls, and the peak MiB over what was there."""
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
    return taken, (torch.cuda.max_memory_allocated() - before) / 2**20


def _add_step(rows: list[Row], tell: Tell) -> None:
    """Time a training step in the layout that was best at inference, in the row of torch fp32."""
    for row in filter(is_plain, rows):
        candidate = Candidate(row["network"], "training step", "fp32", WINDOW, row["layout"])
        torch.cuda.empty_cache()
        try:
            taken, _ = _time_on_device(prepare_step(candidate, device="cuda"))
            row["train_step_ms"] = round(median(taken), 2)
            tell(f"{candidate}: {row['train_step_ms']} ms")
        except Exception as error:  # memory may not suffice
            tell_failure(candidate, error, tell=tell)


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
    taken, _ = _time_on_device(lambda: left @ right)
    return round(2e-6 * MATRIX**3 / median(taken), 1)


def _copy_gb_s() -> float:
    source = torch.ones(2**28, device="cuda")
    target = torch.empty_like(source)
    taken, _ = _time_on_device(lambda: target.copy_(source))
    return round(2e-6 * source.numel() * source.element_size() / median(taken), 1)
