"""Does the ViT branch with MSGFF pay where a tumour's type is told from far away?

Run from the repository: `python docs/studies/far_context.py OUT --seeds 3`. OUT takes the phantoms,
their voxels, `runs.jsonl` (a finished run is not repeated) and `far_context.md`.

A solitary ring lesion is a glioma and labelled; with a twin in the other hemisphere it is a
metastasis and is not (`python -m data_prep phantoms --task far_context`). Windows hold the whole
brain. What counts is how many voxels lie between two lesions. So that one core will do, a coarse
phantom is stretched from left to right alone until two lesions are as far apart as in a scan of
1 mm: 60 to 105 voxels of a brain 145 voxels wide. `--grid 32 32 32` leaves them near.

All arms see the same cases in the same order with the same flips, and have the same steps,
optimiser and learning rate; a seed sets the initial weights and the views.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from monai.losses import DiceLoss
from monai.transforms import Compose, RandFlipd, Resized, ToTensord
from monai.utils import set_determinism
from torch import Tensor, nn
from torch.nn import functional

from data_prep import voxelise_cases, write_phantoms
from data_prep.datalist import Split, write_datalist
from monai_kd.data import LabelToRegionsd, RandLoadWindowsd, read_datalist, read_dataset, read_task
from monai_kd.networks import ConvTeacher, HybridTeacher, PlainFusion

ARMS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "ViT + MSGFF": HybridTeacher,
        "conv": ConvTeacher,
        "conv, widened": partial(ConvTeacher, stage_channels=(26, 52, 104, 204)),
        "ViT, plain fusion": partial(HybridTeacher, fusion=PlainFusion),
    }
)
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 95 %, two-sided, for that many seeds
SETTING = ("cases", "size", "window", "grid", "steps", "rate")
PARTS = ("test", "training")
BATCH = 4
HELD_BACK = 1 / 3


def main() -> None:
    """Train each arm with each seed, then write the table."""
    options = _parse()
    torch.set_num_threads(1)
    setting = {name: getattr(options, name) for name in SETTING}
    dataset_file = _make_cases(options.out, setting)
    log = options.out / "runs.jsonl"
    done = _read(log, setting)
    for seed in range(options.seeds):
        for arm in options.arms:
            if (arm, seed) not in done:
                run = _train_and_score(arm, seed, dataset_file=dataset_file, setting=setting)
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(run | {"setting": setting}) + "\n")
    found = _read(log, setting)
    runs = [found[arm, seed] for arm in options.arms for seed in range(options.seeds)]
    (options.out / "far_context.md").write_text(_page(runs, setting), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, choices=STUDENT_T, default=3)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS)[:2])
    parser.add_argument("--cases", type=int, default=360)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--window", type=int, nargs=3, default=[28, 32, 32], metavar="N")
    parser.add_argument("--grid", type=int, nargs=3, default=[176, 16, 16], metavar="N")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--rate", type=float, default=2e-3)
    return parser.parse_args()


def _make_cases(out: Path, setting: Mapping[str, Any]) -> Path:
    folder = out / "phantoms-{cases}x{size}".format_map(setting)
    write_phantoms(
        folder, cases=setting["cases"], size=setting["size"], task="far_context", workers=1
    )
    voxels = voxelise_cases(folder, voxels_root=out, workers=1)
    split = Split(test_fraction=HELD_BACK, folds=2)
    return write_datalist(voxels, output_file=voxels / "dataset.json", split=split)


def _load(
    dataset_file: Path, part: str, setting: Mapping[str, Any], *, flips: float
) -> tuple[list[Any], Compose]:
    """Records of a part, both folds of the training cases, and whole brains as the transform."""
    parts = ("training", "validation") if part == "training" else (part,)
    records = [r for name in parts for r in read_datalist(dataset_file, part=name)]
    keys = ["image", "label"]
    load = RandLoadWindowsd(keys, spatial_size=setting["window"], foreground=0.0)
    stretch = Resized(keys, spatial_size=setting["grid"], mode=["trilinear", "nearest"])
    regions = LabelToRegionsd(
        "label", regions=read_task(read_dataset(dataset_file)["task"]).outputs
    )
    turn = [RandFlipd(keys, prob=flips, spatial_axis=axis) for axis in (0, 1)]
    return records, Compose([load, stretch, regions, *turn, ToTensord(keys, track_meta=False)])


def _train_and_score(
    arm: str, seed: int, *, dataset_file: Path, setting: Mapping[str, Any]
) -> dict[str, Any]:
    set_determinism(seed=seed)
    network = ARMS[arm]().to(memory_format=torch.channels_last_3d)
    started = time.perf_counter()
    records, views = _load(dataset_file, "training", setting, flips=0.5)
    views.set_random_state(seed)
    batches = _batches(records, views, seed=seed, steps=setting["steps"])
    losses = _train(network, batches, steps=setting["steps"], rate=setting["rate"])
    seconds = time.perf_counter() - started
    scores = {part: _score(network, dataset_file, part, setting) for part in PARTS}
    parameters = sum(p.numel() for p in network.parameters())
    told = {"arm": arm, "seed": seed, "parameters": parameters, "seconds": round(seconds)}
    return told | {"loss": losses} | scores


def _batches(
    records: Sequence[Any], views: Compose, *, seed: int, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = []
    for _ in range(steps):
        if len(order) < BATCH:
            order = torch.randperm(len(records), generator=generator).tolist()
        taken, order = order[:BATCH], order[BATCH:]
        windows = [views(records[index])[0] for index in taken]
        yield _stack(windows, "image"), _stack(windows, "label")


def _stack(windows: Iterable[Mapping[str, Tensor]], key: str) -> Tensor:
    stacked = torch.stack([window[key] for window in windows])
    return stacked.contiguous(memory_format=torch.channels_last_3d)


def _train(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, steps: int, rate: float
) -> list[float]:
    """AdamW with warm-up and cosine; the mean loss of each tenth of the steps."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1)
    dice, losses = DiceLoss(sigmoid=True, batch=True), []
    network.train()
    for image, label in batches:
        logits = network(image)
        loss = dice(logits, label) + functional.binary_cross_entropy_with_logits(logits, label)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    tenth = max(1, steps // 10)
    return [round(statistics.mean(losses[i : i + tenth]), 3) for i in range(0, steps, tenth)]


@torch.no_grad()
def _score(
    network: nn.Module, dataset_file: Path, part: str, setting: Mapping[str, Any]
) -> dict[str, float]:
    """Mean Dice over cases and regions, and of how many cases the type is told.

    A glioma is told if at least half of it is marked; metastases if nothing of 20 voxels is.
    """
    records, views = _load(dataset_file, part, setting, flips=0.0)
    network.eval()
    dice, told = [], []
    for record in records:
        brain = views(record)[0]
        found = network(brain["image"][None])[0] > 0
        truth = brain["label"] > 0
        dice.append(statistics.mean(map(_dice, found, truth)))
        whole, marked = truth[1], found[1]
        hit = (whole & marked).sum() * 2 >= whole.sum() if whole.any() else marked.sum() < 20
        told.append(float(hit))
    return {"dice": statistics.mean(dice), "told": statistics.mean(told)}


def _dice(found: Tensor, truth: Tensor) -> float:
    """1 where both are empty, 0 where only one is."""
    total = int(found.sum() + truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0


def _read(log: Path, setting: Mapping[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    runs = [json.loads(line) for line in lines]
    return {(r["arm"], r["seed"]): r for r in runs if r["setting"] == dict(setting)}


def _page(runs: Sequence[Mapping[str, Any]], setting: Mapping[str, Any]) -> str:
    arms = [arm for arm in ARMS if any(run["arm"] == arm for run in runs)]
    lines = [", ".join(f"{name} {value}" for name, value in setting.items()), ""]
    for score in ("dice", "told"):
        values = {a: [run["test"][score] for run in runs if run["arm"] == a] for a in arms}
        seeds = len(values[arms[0]])
        heads = [f"test {score}", "parameters", *(f"seed {s}" for s in range(seeds)), "mean"]
        heads.append(f"{arms[0]} less this, 95 %")
        lines += [_row(heads), _row(["---"] * len(heads))]
        for arm in arms:
            parameters = next(run["parameters"] for run in runs if run["arm"] == arm)
            cells = [arm, f"{parameters / 1e6:.2f} M", *(f"{v:.3f}" for v in values[arm])]
            cells += [
                f"{statistics.mean(values[arm]):.3f}",
                _interval(values[arms[0]], values[arm]),
            ]
            lines.append(_row(cells))
        lines.append("")
    return "\n".join(lines)


def _interval(first: Sequence[float], other: Sequence[float]) -> str:
    differences = [a - b for a, b in zip(first, other, strict=True)]
    if len(differences) < 2 or not any(differences):
        return ""
    half = STUDENT_T[len(differences)] * statistics.stdev(differences)
    return f"{statistics.mean(differences):+.3f} +- {half / math.sqrt(len(differences)):.3f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
