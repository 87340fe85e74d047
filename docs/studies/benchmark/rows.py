"""The whole measurement on one device: rows, and what is told beside them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from docs.studies.benchmark.backends import DTYPES, LAYOUTS, Candidate, make_image, prepare
from docs.studies.benchmark.bounds import bound_blocks, list_units, time_blocks
from docs.studies.benchmark.machine import describe_machine, measure_peaks, merge_peaks
from docs.studies.benchmark.memory import MemoryMeter, measure_on_card
from docs.studies.benchmark.networks import CHANNELS, LIGHT, count_window, make_network
from docs.studies.benchmark.quantisation import quantise
from docs.studies.benchmark.timing import SLOW_MS, Call, Tell, is_plain, time_calls, try_call
from monai_kd.export.onnx import write_onnx

Row = dict[str, Any]
BATCHES = {"cpu": (1,), "cuda": (1, 8)}
EMULATED_WINDOW = 96  # bf16 that is not native takes fifty times as long: not at every window
TRAINING_WINDOW, LEARNING_RATE = 96, 1e-4
TRAINED = (*LIGHT, "FlexibleUNet-b0")  # on a processor


def measure(
    device: str,
    *,
    networks: Sequence[str],
    windows: Sequence[int],
    files: Path,
    full: bool,
    tell: Tell,
) -> Iterator[dict[str, Any]]:
    """Yield `{"machine": ..., "rows": [...]}` after each window, with what was found so far.

    `files` is a folder for the ONNX networks. On a card fp32 is fp32: TF32, which rounds it to ten
    bits, is off; and its networks take turns, as their memory may not suffice for all at once.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    meter, rows, machine = MemoryMeter(), [], describe_machine(device)
    tell(f"machine: {machine['fp32_gflops']} GFLOP/s fp32, {machine['bandwidth_gb_s']} GB/s")
    for window in windows:
        native = bool(machine["bf16_gflops"])
        costs = {name: count_window(name, window) for name in networks}
        groups = defaultdict(list)
        kinds = {"device": device, "full": full, "native": native, "known": rows}
        for one in list_candidates(networks, window, **kinds):
            groups[(one.network, one.batch) if device == "cuda" else ()].append(one)
        found = [
            row for some in groups.values() for row in _measure_group(some, files, tell, meter)
        ]
        if window == TRAINING_WINDOW:
            _add_steps(found, networks if full or device == "cuda" else TRAINED, device, tell)
        rows += [row | costs[row["network"]] for row in found]
        machine = merge_peaks(machine, measure_peaks(device))
        for row in rows:
            windows_per_s = 1000 * row["batch"] / row["ms"]
            peak = machine["bf16_gflops" if row["precision"] == "bf16" else "fp32_gflops"]
            row["windows_per_s"] = round(windows_per_s, 2)
            row["share_of_peak"] = peak and round(2e-9 * row["macs"] * windows_per_s / peak, 4)
        _add_bounds(rows, machine, files)
        yield {"machine": machine, "rows": rows}


def list_candidates(
    networks: Sequence[str],
    window: int,
    *,
    device: str,
    full: bool,
    native: bool,
    known: Sequence[Row] = (),
) -> list[Candidate]:
    """Return all that is measured at one window: the light networks in every way, or all.

    `native` says that the device multiplies bf16 itself. A network of which the `known` rows say
    that it is slow at this window is run only in the layout that was its best.
    """
    slow = {
        row["network"]: [row["layout"]]
        for row in known
        if is_plain(row) and row["ms"] * (window / row["window"]) ** 3 > SLOW_MS
    }
    found = []
    for name in networks:
        layouts, student, light = slow.get(name, LAYOUTS), name == "student", full or name in LIGHT
        ways = [("torch", "fp32", layouts)]
        if device == "cuda":
            ways += [("torch", "bf16", LAYOUTS)]
            ways += [("torch_compile", kind, LAYOUTS) for kind in DTYPES if full or student]
        else:
            ways += _list_ways(layouts, light, student, full, native, window)
        found += [
            Candidate(name, backend, kind, window, batch, layout, device)
            for (backend, kind, layouts), batch in product(ways, BATCHES[device])
            for layout in layouts
        ]
    return found


def _list_ways(
    layouts: Any, light: bool, student: bool, full: bool, native: bool, window: int
) -> Iterator[tuple[str, str, Any]]:
    """Further runtimes, precisions and their layouts on the processor."""
    if native and light:
        yield from (("torch", "bf16", layouts), ("openvino", "bf16", LAYOUTS))
    elif student and (full or window <= EMULATED_WINDOW):
        yield "torch", "bf16", ["channels_last_3d"]
    if full or student:
        yield "torch_compile", "fp32", ["contiguous"]
    for kind in ["fp32"] * light + ["int8"] * (full or student):
        yield from (("onnxruntime", kind, ["contiguous"]), ("openvino", kind, LAYOUTS))


def _measure_group(
    candidates: Sequence[Candidate], files: Path, tell: Tell, meter: MemoryMeter
) -> list[Row]:
    """Return a row for the best layout of each network, runtime, precision and batch."""
    device, calls = candidates[0].device, {}
    for candidate in candidates:
        call = try_call(candidate, lambda one=candidate: _prepare(one, files), tell=tell)
        calls |= {candidate: call} if call else {}
    times = time_calls(calls, tell=tell, row_of=lambda one: one.row, device=device)
    layouts: dict[Candidate, dict[str, float]] = defaultdict(dict)
    for candidate, taken in times.items():
        layouts[replace(candidate, layout="")][candidate.layout] = round(median(taken), 3)
    rows = []
    for shared, medians in layouts.items():
        best = replace(shared, layout=min(medians, key=medians.__getitem__))
        peak = _measure_memory(best, calls[best], files, meter)
        peak = peak and round(peak, 1)
        tell(f"{best}: {peak} MiB at most")
        row = {key: value for key, value in vars(best).items() if key != "device"}
        row |= {"ms": medians[best.layout], "ms_by_layout": medians}
        rows.append(row | {"peak_mib": peak})
    return rows


def _prepare(candidate: Candidate, files: Path) -> Call:
    """Write the ONNX network where it is needed and not there, and prepare the call."""
    if not candidate.backend.startswith("torch"):
        image = make_image(candidate.window)
        plain = files / replace(candidate, precision="fp32").onnx_file
        if not plain.exists():
            write_onnx(make_network(candidate.network, candidate.window), plain, image=image)
        if candidate.precision == "int8" and not (files / candidate.onnx_file).exists():
            quantise(plain, [image.numpy()], target=files / candidate.onnx_file)
    return prepare(candidate, files)


def _measure_memory(
    candidate: Candidate, call: Call, files: Path, meter: MemoryMeter
) -> float | None:
    if candidate.device == "cuda":
        return measure_on_card(call)
    compiles = candidate.backend == "torch_compile"  # a minute more, for the compiler's memory
    return None if compiles else meter.measure(candidate, files)


def _add_steps(rows: Sequence[Row], names: Sequence[str], device: str, tell: Tell) -> None:
    """Time a training step in the layout that was best at inference, in the row of torch fp32."""
    for row in rows:
        if is_plain(row) and row["network"] in names and row["batch"] == 1:
            one = replace(Candidate.of(row, device), backend="training step")
            call = try_call(one, lambda one=one: prepare_step(one), tell=tell)
            for taken in time_calls({one: call} if call else {}, tell=tell, device=device).values():
                row["train_step_ms"] = round(median(taken), 2)


def prepare_step(candidate: Candidate) -> Call:
    """Return a call that makes one optimisation step on soft noise: forward, backward, AdamW."""
    form = {"device": candidate.device, "memory_format": LAYOUTS[candidate.layout]}
    network = make_network(candidate.network, candidate.window).train().to(**form)
    image = make_image(candidate.window).to(**form)
    label = (image[:, :3] > 0).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)

    def step() -> None:
        logits = network(image)
        finest = logits[0] if isinstance(logits, list) else logits
        loss = nn.functional.binary_cross_entropy_with_logits(finest, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _add_bounds(rows: list[Row], machine: Mapping[str, Any], files: Path) -> None:
    """Hold the student's blocks against the machine, in OpenVINO, whose counters tell of them.

    Counting itself costs time, so each block gets its share of what the row took without.
    """
    for row in rows:
        precision, shape = row["precision"], (1, CHANNELS["in_channels"], *[row["window"]] * 3)
        if (row["network"], row["backend"]) != ("student", "openvino") or precision not in DTYPES:
            continue
        file = files / f"student-{row['window']}.onnx"
        limits = bound_blocks(
            list_units(file, shape),
            gflops=machine[f"{precision}_gflops"],
            gb_s=machine["bandwidth_gb_s"],
            width=DTYPES[precision].itemsize,
        )
        taken = time_blocks(file, shape, precision=precision, layout=row["layout"])
        row["counted_ms"] = round(sum(taken.values()), 2)
        row["blocks"] = {
            name: {"ms": round(taken.get(name, 0.0) * row["ms"] / row["counted_ms"], 3)}
            | {key: round(value, 3) for key, value in limits.get(name, {}).items()}
            for name in [*limits, *(taken.keys() - limits.keys())]
        }
