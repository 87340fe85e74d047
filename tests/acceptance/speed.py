"""One case from files to mask, beside MONAI's zoo SegResNet and two floors: a Markdown page.

    python -m tests.acceptance.speed BUNDLE [--size 240 240 155] [--rounds 5] [--output FILE]

Both pipelines read, segment and write the same phantom in one process, in turn, so that whatever
else the machine does hits both alike. Times are medians without imports and loading of weights.
SegResNet has random weights, which cost what trained ones cost.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from isal import isal_zlib
from monai.inferers import SlidingWindowInfererAdapt
from monai.networks.nets import SegResNet
from monai.transforms import Compose, LoadImaged, NormalizeIntensityd, SaveImaged

from data_prep import write_phantoms
from data_prep.brats.labels import BRATS2023
from data_prep.brats.sequences import SEQUENCES
from data_prep.case import Case
from data_prep.files import write_bytes
from monai_kd.experiment.cost import count_cost
from monai_kd.inference.requests.opened_case import open_case
from monai_kd.inference.requests.requests import Request, find_requests
from monai_kd.inference.running.case_run import CaseRun
from monai_kd.inference.running.job import Job
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.student import read_student
from monai_kd.networks import EfficientNetStudent

ZOO_DIVISOR = 16  # 240x240x155 voxels are one window of 240x240x160
MOST_BYTES = 1200 * 2**20
STAGES = ("read", "judge", "prepare", "infer", "restore", "lesions", "measure", "write")
MATMUL = 2048
Times = dict[str, list[float]]


def main() -> None:
    """Measure and write the page."""
    options = _parse()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cases = write_phantoms(folder / "cases", cases=1, size=tuple(options.size))
        page = _measure(options, cases, folder)
    write_bytes(options.output, page.encode())
    sys.stdout.write(page)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time one case beside the zoo's SegResNet.")
    parser.add_argument("bundle", type=Path, help="a packed bundle with models/model.onnx")
    parser.add_argument("--size", type=int, nargs=3, default=(240, 240, 155))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks/prediction.md"))
    return parser.parse_args()


def _measure(options: argparse.Namespace, cases: Path, folder: Path) -> str:
    (request,) = find_requests([cases])
    student = read_student(options.bundle)
    runtime = open_runtime(student, threads=options.threads)
    run = CaseRun(Job(student, BRATS2023, folder), runtime, MOST_BYTES)
    ours: Times = {stage: [] for stage in (*STAGES, "all")}
    zoo: Times = {stage: [] for stage in ("load and normalise", "infer", "save", "all")}
    gzip: list[float] = []
    peaks: list[float] = []
    zoo_case = _open_zoo(folder / "zoo", _zoo_window(options.size))
    window = _run_ours(request, run, {s: [] for s in ours})  # warm up
    for _ in range(options.rounds):
        window = _run_ours(request, run, ours)
        gzip.append(_seconds(lambda: _inflate(request.case)))
        peaks.append(_matmul_peak())
        zoo_case(request.case, zoo)
    alone = [_run_alone(options, cases, folder) for _ in range(options.rounds)]
    network = EfficientNetStudent(**{k: v for k, v in student.network.items() if k != "_target_"})
    cost = count_cost(network, channels=len(SEQUENCES), window=window)
    floors = {"reading": median(gzip), "network": 2 * int(cost["macs"]) / median(peaks)}
    return _format(options, runtime.name, window, ours, zoo, floors, alone)


def _run_ours(request: Request, run: CaseRun, times: Times) -> tuple[int, int, int]:
    """What `predict` does with a case: read, check, judge, segment, write mask and record."""
    began = time.perf_counter()
    provenance = run(open_case(request, run.job.student), lambda line: None)["provenance"]
    ended = time.perf_counter()
    for stage, taken in (provenance["seconds"] | {"all": ended - began}).items():
        times[stage].append(taken)
    x, y, z = provenance["window"]
    return x, y, z


def _open_zoo(output: Path, window: list[int]) -> Callable[[Case, Times], None]:
    """The zoo's `brats_mri_segmentation`: load, normalise, one window, threshold, save."""
    network = SegResNet(
        blocks_down=[1, 2, 2, 4],
        blocks_up=[1, 1, 1],
        init_filters=16,
        in_channels=4,
        out_channels=3,
        dropout_prob=0.2,
    ).eval()
    load = Compose(
        [
            LoadImaged("image", ensure_channel_first=True),
            NormalizeIntensityd("image", nonzero=True, channel_wise=True),
        ]
    )
    inferer = SlidingWindowInfererAdapt(roi_size=window, sw_batch_size=1, overlap=0.5)
    save = SaveImaged("pred", output_dir=output, resample=False, print_log=False)

    @torch.inference_mode()
    def run(case: Case, times: Times) -> None:
        marks = [time.perf_counter()]
        loaded = load({"image": [str(case.images[name].path) for name in SEQUENCES]})
        marks.append(time.perf_counter())
        logits = inferer(loaded["image"][None], network)
        marks.append(time.perf_counter())
        save({"pred": (logits[0].sigmoid() > 0.5).to(torch.uint8)})
        marks.append(time.perf_counter())
        for stage, taken in zip(times, [*np.diff(marks), marks[-1] - marks[0]], strict=True):
            times[stage].append(float(taken))

    return run


def _zoo_window(size: list[int]) -> list[int]:
    return [-(-side // ZOO_DIVISOR) * ZOO_DIVISOR for side in size]


def _inflate(case: Case) -> None:
    """Read and decompress the bytes of all files, checksum included, and do nothing with them."""
    for image in case.images.values():
        isal_zlib.decompress(image.path.read_bytes(), wbits=31)


def _matmul_peak() -> float:
    """Operations per second of a large product of matrices on the same threads."""
    one = torch.rand(MATMUL, MATMUL)
    one @ one
    return 2 * MATMUL**3 / min(_seconds(lambda: one @ one) for _ in range(5))


def _run_alone(options: argparse.Namespace, cases: Path, folder: Path) -> tuple[float, float]:
    """Seconds from a cold shell to the written mask, and the peak memory in MiB that is noted."""
    output = folder / "alone"
    words = [str(cases), "-o", str(output), "--bundle", str(options.bundle), "--no-report"]
    words += ["--overwrite", "--threads", str(options.threads), "--quiet"]
    began = time.time()
    subprocess.run([sys.executable, "-m", "monai_kd.cli", "predict", *words], check=True)
    (mask,), (record,) = output.glob("*_seg.nii.gz"), output.glob("*.json")
    return mask.stat().st_mtime - began, json.loads(record.read_bytes())["provenance"][
        "peak_memory_mib"
    ]


def _seconds(step: Callable[[], Any]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _format(
    options: argparse.Namespace,
    name: str,
    window: tuple[int, ...],
    ours: Times,
    zoo: Times,
    floors: dict[str, float],
    alone: list[tuple[float, float]],
) -> str:
    own, theirs, least = median(ours["all"]), median(zoo["all"]), sum(floors.values())
    rows = [f"| {stage} | {median(t):.3f} | {median(t) / own:.0%} |" for stage, t in ours.items()]
    peers = [
        f"| {stage} | {median(t):.2f} | {median(t) / theirs:.0%} |" for stage, t in zoo.items()
    ]
    cold, peak = (median(values) for values in zip(*alone, strict=True))
    return "\n".join(
        [
            "# One case, from four files to the mask",
            "",
            f"Written by `python -m tests.acceptance.speed`: a phantom of {options.size} voxels, "
            f"{options.threads} threads, medians of {options.rounds} rounds in turn, {name}, "
            f"window {list(window)}, mask and record written. {_tell_machine()}.",
            "",
            "| stage | seconds | share |",
            "|---|---|---|",
            *rows,
            "",
            f"The zoo's SegResNet pipeline in MONAI, one window of {_zoo_window(options.size)}:",
            "",
            "| stage | seconds | share |",
            "|---|---|---|",
            *peers,
            "",
            "| what | measured | wanted |",
            "|---|---|---|",
            f"| times faster than that | {theirs / own:.1f} | at least 30 |",
            f"| floor of reading, fastest gzip, one thread, s | {floors['reading']:.3f} | |",
            f"| floor of the network, its MACs at the matmul peak, s | {floors['network']:.3f} | |",
            f"| times the two floors | {own / least:.2f} | at most 2.5 |",
            f"| peak memory of a process, MiB | {peak:.0f} | at most 1229 |",
            f"| from a cold shell to the written mask, s | {cold:.2f} | under 2 |",
            "",
        ]
    )


def _tell_machine() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, torch {torch.__version__}, openvino {version('openvino')}"


if __name__ == "__main__":
    main()
