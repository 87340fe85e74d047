"""The whole measurement on the processor: rows, and what is told beside them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from docs.studies.benchmark.backends import (
    LAYOUTS,
    Call,
    Candidate,
    is_native_bf16,
    make_image,
    prepare,
)
from docs.studies.benchmark.bounds import bound_blocks, list_units, time_blocks
from docs.studies.benchmark.machine import describe_machine, measure_peaks, merge_peaks
from docs.studies.benchmark.memory import MemoryMeter
from docs.studies.benchmark.networks import CHANNELS, LIGHT, count_window, make_network
from docs.studies.benchmark.quantisation import quantise
from docs.studies.benchmark.timing import name_error, time_rounds
from docs.studies.benchmark.training import prepare_step
from monai_kd.export.onnx import write_onnx

Tell = Callable[[str], None]
Row = dict[str, Any]
TRAINING_WINDOW = 96
EMULATED_WINDOW = 96  # bf16 that is not native takes fifty times as long: not at every window
TRAINED = (*LIGHT, "FlexibleUNet-b0")
WIDTHS = {"fp32": 4, "bf16": 2}  # bytes


def measure_cpu(
    *, networks: Sequence[str], windows: Sequence[int], files: Path, full: bool, tell: Tell
) -> dict[str, Any]:
    """Return `{"machine": ..., "rows": [...]}`; `files` is a folder for the ONNX networks."""
    meter, rows = MemoryMeter(), []
    machine = describe_machine()
    tell(f"machine: {machine['fp32_gflops']} GFLOP/s fp32, {machine['bandwidth_gb_s']} GB/s")
    for window in windows:
        candidates = list_candidates(networks, window, full=full)
        times = _time_candidates(candidates, files, tell)
        costs = {name: count_window(name, window) for name in networks}
        rows += [row | costs[row["network"]] for row in make_rows(times)]
        _add_memory(rows, window, meter, files, tell)
        _add_steps(rows, window, TRAINED if not full else networks, tell)
    machine = merge_peaks(machine, measure_peaks())
    for row in rows:
        peak = machine[f"{'bf16' if row['precision'] == 'bf16' else 'fp32'}_gflops"]
        row["share_of_peak"] = peak and round(2e-6 * row["macs"] / row["ms"] / peak, 4)
    _add_bounds(rows, machine, files)
    return {"machine": machine, "rows": rows}


def list_candidates(networks: Sequence[str], window: int, *, full: bool) -> list[Candidate]:
    """Return all that is measured at one window: the light networks in every way, or all."""
    native = {name: is_native_bf16(name) for name in ("torch", "openvino")}
    found = [Candidate(name, "torch", "fp32", window, way) for name in networks for way in LAYOUTS]
    for name in networks:
        student = name == "student"
        if native["torch"] and (full or name in LIGHT):
            found += [Candidate(name, "torch", "bf16", window, way) for way in LAYOUTS]
        elif student and (full or window <= EMULATED_WINDOW):
            found += [Candidate(name, "torch", "bf16", window, "channels_last_3d")]
        if full or student:
            found += [Candidate(name, "torch_compile", "fp32", window)]
        if full or name in LIGHT:
            found += [Candidate(name, way, "fp32", window) for way in ("onnxruntime", "openvino")]
        if student or full:
            found += [Candidate(name, way, "int8", window) for way in ("onnxruntime", "openvino")]
        if native["openvino"] and (full or name in LIGHT):
            found += [Candidate(name, "openvino", "bf16", window)]
    return found


def make_rows(times: Mapping[Candidate, Sequence[float]]) -> list[Row]:
    """Return a row for the best layout of each network, runtime and precision."""
    layouts: dict[tuple[str, str, str, int], dict[str, float]] = defaultdict(dict)
    for candidate, taken in times.items():
        layouts[candidate.row][candidate.layout] = round(median(taken), 2)
    rounds = {(*candidate.row, candidate.layout): len(taken) for candidate, taken in times.items()}
    most = {key: max(rounds[*key, layout] for layout in found) for key, found in layouts.items()}
    rows = []
    for key, medians in layouts.items():
        kept = [name for name in medians if most[key] == 1 or rounds[*key, name] > 1]
        layout = min(kept, key=medians.__getitem__)
        row = dict(zip(("network", "backend", "precision", "window"), key, strict=True))
        extra = {"layout": layout, "ms_by_layout": medians, "rounds": rounds[*key, layout]}
        rows.append(row | {"ms": medians[layout]} | extra)
    return rows


def _time_candidates(
    candidates: Sequence[Candidate], files: Path, tell: Tell
) -> dict[Candidate, list[float]]:
    calls: dict[Candidate, Call] = {}
    for candidate in candidates:
        try:
            _write_file(candidate, files)
            calls[candidate] = prepare(candidate, files)
        except Exception as error:  # a runtime may not know what a network is made of
            tell(f"{candidate.title}: not possible, {name_error(error)}")
    return time_rounds(calls, tell=tell)


def _write_file(candidate: Candidate, files: Path) -> None:
    if candidate.backend.startswith("torch") or (files / candidate.onnx_file).exists():
        return
    image = make_image(candidate.window)
    plain = files / f"{candidate.network}-{candidate.window}.onnx"
    if not plain.exists():
        write_onnx(make_network(candidate.network, candidate.window), plain, image=image)
    if candidate.precision == "int8":
        quantise(plain, [image.numpy()], target=files / candidate.onnx_file)


def _add_memory(rows: list[Row], window: int, meter: MemoryMeter, files: Path, tell: Tell) -> None:
    names = ("network", "backend", "precision", "window", "layout")
    for row in (row for row in rows if row["window"] == window):
        candidate = Candidate(**{name: row[name] for name in names})
        peak = None if _is_costly(candidate) else meter.measure(candidate, files)
        row["peak_mib"] = peak and round(peak, 1)
        tell(f"{candidate.title}: {row['peak_mib']} MiB at most")


def _is_costly(candidate: Candidate) -> bool:
    """Say whether a second process would compile for a minute, or emulate bf16, for one figure."""
    emulated = candidate.precision == "bf16" and not is_native_bf16(candidate.backend)
    return candidate.backend == "torch_compile" or emulated


def _add_steps(rows: list[Row], window: int, names: Sequence[str], tell: Tell) -> None:
    """Time a training step of the best layout, in the row of torch fp32."""
    if window != TRAINING_WINDOW:
        return
    plain = [row for row in rows if (row["backend"], row["precision"]) == ("torch", "fp32")]
    chosen = {
        Candidate(row["network"], "training step", "fp32", window, row["layout"]): row
        for row in plain
        if row["window"] == window and row["network"] in names
    }
    times = time_rounds({candidate: prepare_step(candidate) for candidate in chosen}, tell=tell)
    for candidate, taken in times.items():
        chosen[candidate]["train_step_ms"] = round(median(taken), 1)


def _add_bounds(rows: list[Row], machine: Mapping[str, Any], files: Path) -> None:
    """Hold the student's blocks against the machine, in its fastest float row at each window."""
    for window in {row["window"] for row in rows if row["network"] == "student"}:
        fastest = min(
            (
                row
                for row in rows
                if (row["network"], row["window"]) == ("student", window)
                and machine[f"{row['precision']}_gflops".replace("int8", "fp32")]
                and row["precision"] != "int8"
            ),
            key=lambda row: row["ms"],
        )
        precision, shape = fastest["precision"], (1, CHANNELS["in_channels"], *[window] * 3)
        file = files / f"student-{window}.onnx"
        limits = bound_blocks(
            list_units(file, shape),
            gflops=machine[f"{precision}_gflops"],
            gb_s=machine["bandwidth_gb_s"],
            width=WIDTHS[precision],
        )
        taken = time_blocks(file, shape, precision=precision)
        fastest["blocks"] = {
            name: {"ms": round(taken.get(name, 0.0), 3)}
            | {key: round(value, 3) for key, value in limits.get(name, {}).items()}
            for name in [*limits, *(taken.keys() - limits.keys())]
        }
