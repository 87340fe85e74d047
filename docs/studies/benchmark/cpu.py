"""The whole measurement on the processor: rows, and what is told beside them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from docs.studies.benchmark.backends import (
    DTYPES,
    LAYOUTS,
    Call,
    Candidate,
    make_image,
    prepare,
)
from docs.studies.benchmark.bounds import bound_blocks, list_units, time_blocks
from docs.studies.benchmark.machine import describe_machine, measure_peaks, merge_peaks
from docs.studies.benchmark.memory import MemoryMeter
from docs.studies.benchmark.networks import CHANNELS, LIGHT, count_window, make_network
from docs.studies.benchmark.quantisation import quantise
from docs.studies.benchmark.timing import (
    SLOW_MS,
    Tell,
    is_plain,
    make_rows,
    tell_failure,
    time_calls,
)
from docs.studies.benchmark.training import WINDOW, prepare_step
from monai_kd.export.onnx import write_onnx

Row = dict[str, Any]
EMULATED_WINDOW = 96  # bf16 that is not native takes fifty times as long: not at every window
TRAINED = (*LIGHT, "FlexibleUNet-b0")


def measure_cpu(
    *, networks: Sequence[str], windows: Sequence[int], files: Path, full: bool, tell: Tell
) -> Iterator[dict[str, Any]]:
    """Yield `{"machine": ..., "rows": [...]}` after each window, with what was found so far.

    `files` is a folder for the ONNX networks.
    """
    meter, rows = MemoryMeter(), []
    machine = describe_machine()
    tell(f"machine: {machine['fp32_gflops']} GFLOP/s fp32, {machine['bandwidth_gb_s']} GB/s")
    for window in windows:
        native = bool(machine["bf16_gflops"])
        candidates = list_candidates(networks, window, full=full, native=native, known=rows)
        costs = {name: count_window(name, window) for name in networks}
        found = make_rows(_time_candidates(candidates, files, tell))
        found = [row | costs[row["network"]] for row in found]
        _add_memory(found, meter, files, tell)
        if window == WINDOW:
            _add_steps(found, networks if full else TRAINED, tell)
        rows += found
        machine = merge_peaks(machine, measure_peaks())
        for row in rows:
            peak = machine["bf16_gflops" if row["precision"] == "bf16" else "fp32_gflops"]
            row["share_of_peak"] = peak and round(2e-6 * row["macs"] / row["ms"] / peak, 4)
        _add_bounds(rows, machine, files)
        yield {"machine": machine, "rows": rows}


def list_candidates(
    networks: Sequence[str], window: int, *, full: bool, native: bool, known: Sequence[Row] = ()
) -> list[Candidate]:
    """Return all that is measured at one window: the light networks in every way, or all.

    `native` says that the processor multiplies bf16 itself. A network of which the `known` rows
    say that it is slow at this window is run only in the layout that was its best.
    """
    slow = {
        row["network"]: [row["layout"]]
        for row in known
        if is_plain(row) and row["ms"] * (window / row["window"]) ** 3 > SLOW_MS
    }
    found = []
    for name in networks:
        layouts = slow.get(name, LAYOUTS)
        found += [Candidate(name, "torch", "fp32", window, way) for way in layouts]
        student = name == "student"
        light = full or name in LIGHT
        if native and light:
            found += [Candidate(name, "torch", "bf16", window, way) for way in layouts]
            found += [Candidate(name, "openvino", "bf16", window, way) for way in LAYOUTS]
        elif student and (full or window <= EMULATED_WINDOW):
            found += [Candidate(name, "torch", "bf16", window, "channels_last_3d")]
        if full or student:
            found += [Candidate(name, "torch_compile", "fp32", window)]
        precisions = ["fp32"] * light + ["int8"] * (full or student)
        for kind in precisions:
            found += [Candidate(name, "onnxruntime", kind, window)]
            found += [Candidate(name, "openvino", kind, window, way) for way in LAYOUTS]
    return found


def _time_candidates(
    candidates: Sequence[Candidate], files: Path, tell: Tell
) -> dict[Candidate, list[float]]:
    calls: dict[Candidate, Call] = {}
    for candidate in candidates:
        try:
            _write_file(candidate, files)
            calls[candidate] = prepare(candidate, files)
        except Exception as error:  # a runtime may not know what a network is made of
            tell_failure(candidate, error, tell=tell)
    return time_calls(calls, tell=tell, row_of=lambda candidate: candidate.row)


def _write_file(candidate: Candidate, files: Path) -> None:
    if candidate.backend.startswith("torch") or (files / candidate.onnx_file).exists():
        return
    image = make_image(candidate.window)
    plain = files / f"{candidate.network}-{candidate.window}.onnx"
    if not plain.exists():
        write_onnx(make_network(candidate.network, candidate.window), plain, image=image)
    if candidate.precision == "int8":
        quantise(plain, [image.numpy()], target=files / candidate.onnx_file)


def _add_memory(rows: list[Row], meter: MemoryMeter, files: Path, tell: Tell) -> None:
    for row in rows:
        candidate = Candidate.of(row)
        compiles = candidate.backend == "torch_compile"  # a minute more, for the compiler's memory
        peak = None if compiles else meter.measure(candidate, files)
        row["peak_mib"] = peak and round(peak, 1)
        tell(f"{candidate}: {row['peak_mib']} MiB at most")


def _add_steps(rows: list[Row], names: Sequence[str], tell: Tell) -> None:
    """Time a training step in the layout that was best at inference, in the row of torch fp32."""
    chosen = {
        Candidate(row["network"], "training step", "fp32", WINDOW, row["layout"]): row
        for row in rows
        if is_plain(row) and row["network"] in names
    }
    times = time_calls({candidate: prepare_step(candidate) for candidate in chosen}, tell=tell)
    for candidate, taken in times.items():
        chosen[candidate]["train_step_ms"] = round(median(taken), 1)


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
