"""What was measured, as a page of Markdown. Each sentence follows from the figures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from docs.studies.benchmark.timing import is_plain
from monai_kd.report.words import format_count
from tests.acceptance.pages import format_table

Row = Mapping[str, Any]
PEERS = ("SegResNet", "SwinUNETR")
SHARES = 4  # blocks named as those in which most time is lost
TITLE = """# How fast the networks are

`make bench` writes this page. A dash: not measured. The figures are in [{json}]({json}).

![time against parameters]({plot})
"""
CPU = """One process, interleaved rounds, medians, one window of four modalities, milliseconds. In
torch and OpenVINO every network has its best layout, image and logits alike (c: contiguous, l:
channels-last), in torch_compile and ONNX Runtime contiguous alone; all have the same allocator,
which keeps memory instead of returning it. Memory is how far one forward pass raises the process
above image and weights. int8 is static quantisation; its calibration here is for speed alone, what
it costs in Dice stands in [results.md](../results.md#what-int8-costs).
"""
CUDA = """Medians of calls timed on the device, the ways of a network interleaved, one network after
the other, batches of windows of four modalities, milliseconds a batch. Every network has its best
layout (c: contiguous, l: channels-last); fp32 is without TF32. Memory is how far one forward pass
raises what torch has allocated above image and weights.
"""
RATIOS = """Time of a peer in torch fp32, in its best layout, over the student's; its time in the
same runtime and precision as the student; its memory in torch fp32."""
BOUNDS = """A block's bound is the larger of its multiply-accumulates at the measured peak and its
bytes at the measured bandwidth. A convolution reads its input and weights once and writes its
output once, batch norm and activation being folded into it; a sum of two maps reads the second. So
the bytes are those of a runtime that goes layer after layer with caches too small to hold a map.
OpenVINO's counters share out the whole among the blocks: they add up to {counted:.1f} ms, as
counting itself costs time, and are scaled to the median of {whole:.1f} ms in the table above. At
the peak the multiply-accumulates alone would take {share:.0%} of that."""


def format_page(found: Mapping[str, Any], *, plot: str) -> str:
    """Return the whole page for `{"machine": ..., "rows": [...]}`."""
    rows: Sequence[Row] = found["rows"]
    sections = [TITLE.format(plot=plot, json=plot.replace(".png", ".json"))]
    sections += [CUDA if "gpu" in found["machine"] else CPU, format_machine(found["machine"])]
    for window, batch in sorted({(row["window"], row["batch"]) for row in rows}):
        chosen = [row for row in rows if (row["window"], row["batch"]) == (window, batch)]
        title = f"## {window}^3, batch {batch}"
        sections += [title, format_forward(chosen), format_ratios(chosen)]
        sections += [format_bounds(row) for row in chosen if row.get("blocks")]
    sections += [format_training(rows)]
    return "\n\n".join(section.strip("\n") for section in sections if section) + "\n"


def format_machine(machine: Mapping[str, Any]) -> str:
    """Return what the machine is and reaches, in a paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    bf16 = machine["bf16_gflops"]
    peaks = [f"{machine['fp32_gflops']:,} GFLOP/s in fp32"]
    peaks += (
        [f"{bf16:,} in bf16"] if bf16 else ["bf16 is not native, so it is emulated or left out"]
    )
    what = machine.get("gpu") or (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        + " ".join(machine["instruction_sets"])
    )
    return (
        f"Machine: {what}; {versions}. Best matrix product {'; '.join(peaks)}; "
        f"memory {machine['bandwidth_gb_s']} GB/s."
    )


def format_forward(rows: Sequence[Row]) -> str:
    """Return a line per network, a column per runtime and precision, the fastest network first."""
    ways = list(dict.fromkeys((row["backend"], row["precision"]) for row in rows))
    header = ["network", "params", "MACs", *(" ".join(way) for way in ways)]
    header += ["of the matmul peak", "peak MiB"]
    lines = []
    for plain in sorted(_plain(rows).values(), key=lambda row: float(row["ms"])):
        times = {
            (row["backend"], row["precision"]): row
            for row in rows
            if row["network"] == plain["network"]
        }
        cells = [plain["network"], format_count(plain["params"]), format_count(plain["macs"])]
        cells += [_format_time(times.get(way)) for way in ways]
        lines.append([*cells, f"{plain['share_of_peak']:.0%}", _format_mib(plain)])
    return format_table(header, lines)


def format_ratios(rows: Sequence[Row]) -> str:
    """Return how many times the student's rows are faster and smaller than its peers."""
    plain = _plain(rows)
    peers = [name for name in PEERS if name in plain]
    ours = [row for row in rows if row["network"] == "student"]
    ours.sort(key=lambda row: float(row["ms"]))
    if not (peers and ours):
        return ""
    alike = {(row["network"], row["backend"], row["precision"]): row for row in rows}
    header = ["student in"]
    lines = [[f"{row['backend']} {row['precision']}"] for row in ours]
    for name in peers:
        header += [f"time of {name}", f"of {name} in the same", f"memory of {name}"]
        for line, row in zip(lines, ours, strict=True):
            same = alike.get((name, row["backend"], row["precision"]), {})
            line.append(_format_quotient(plain[name]["ms"], row["ms"]))
            line.append(_format_quotient(same.get("ms"), row["ms"]))
            line.append(_format_quotient(plain[name]["peak_mib"], row["peak_mib"]))
    return f"{RATIOS}\n\n{format_table(header, lines)}"


def format_bounds(row: Row) -> str:
    """Return each block beside its bound, the whole beside the sums, and where the rest goes."""
    blocks: Mapping[str, Row] = row["blocks"]
    whole = float(row["ms"])
    bound = sum_bounds(blocks)
    told = [
        f"### The student's blocks against the machine, {row['backend']} {row['precision']}",
        BOUNDS.format(whole=whole, counted=row["counted_ms"], share=row["share_of_peak"]),
    ]
    lines = [_format_block(name, block) for name, block in blocks.items()]
    lines.append(["**whole**", "", "", f"{bound:.1f}", f"{whole:.1f}", f"{whole / bound:.2f}"])
    header = ["block", "MACs", "MiB", "bound ms", "ms", "times its bound"]
    return "\n\n".join([*told, format_table(header, lines), tell_losses(blocks, whole=whole)])


def sum_bounds(blocks: Mapping[str, Row], key: str = "bound_ms") -> float:
    """Return the bound of the whole; with `layers_bound_ms` the one layer by layer."""
    return float(sum(block.get(key, 0.0) for block in blocks.values()))


def tell_losses(blocks: Mapping[str, Row], *, whole: float) -> str:
    """Say in which blocks the time over the bound goes."""
    over = {name: block["ms"] - block.get("bound_ms", 0.0) for name, block in blocks.items()}
    lost = sorted(((ms, name) for name, ms in over.items() if ms > 0), reverse=True)[:SHARES]
    bound, layers = sum_bounds(blocks), sum_bounds(blocks, "layers_bound_ms")
    named = [f"{name} ({ms:.1f} ms)" for ms, name in lost]
    rest = f" Most of what is over the bound: {', '.join(named)}." if named else ""
    return (
        f"The whole takes {whole / bound:.2f} times its bound block by block, {bound:.1f} ms, and "
        f"{whole / layers:.2f} times the sum of the larger of the two for each single layer, "
        f"{layers:.1f} ms.{rest}"
    )


def format_training(rows: Iterable[Row]) -> str:
    """Return the milliseconds of a training step, if any was measured."""
    steps = [row for row in rows if row.get("train_step_ms")]
    if not steps:
        return ""
    steps.sort(key=lambda row: float(row["train_step_ms"]))
    lines = [
        [row["network"], format_count(row["params"]), f"{row['train_step_ms']:,.0f}"]
        for row in steps
    ]
    title = f"## Training step, {steps[0]['window']}^3, batch 1, fp32: forward, backward, AdamW"
    title += "\n\nIn the layout that was best at inference."
    return title + "\n\n" + format_table(["network", "params", "ms"], lines)


def _plain(rows: Iterable[Row]) -> dict[str, Row]:
    return {row["network"]: row for row in rows if is_plain(row)}


def _format_time(row: Row | None) -> str:
    if row is None:
        return "-"
    letter = {"contiguous": " c", "channels_last_3d": " l"}[row["layout"]]
    layout = letter if row["backend"].startswith(("torch", "openvino")) else ""
    return f"{row['ms']:,.1f}{layout}"


def _format_mib(row: Row) -> str:
    return "-" if row["peak_mib"] is None else f"{row['peak_mib']:,.0f}"


def _format_quotient(above: float | None, below: float | None) -> str:
    return f"{above / below:.1f}" if above and below else "-"


def _format_block(name: str, block: Row) -> list[str]:
    if not block.get("bound_ms"):
        return [name, "", "", "", f"{block['ms']:.1f}", ""]
    macs, bound = format_count(int(block["macs"])), block["bound_ms"]
    figures = [f"{block['mib']:.1f}", f"{bound:.2f}", f"{block['ms']:.2f}"]
    return [name, macs, *figures, f"{block['ms'] / bound:.2f}"]
