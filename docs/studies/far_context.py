"""Does the ViT branch with MSGFF pay where a tumour's type is told from far away?

Run from the repository: `python -m docs.studies.far_context OUT --seeds 3`. OUT takes the phantoms,
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
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from data_prep.datalist import Split
from docs.studies.distillation.log import Log
from docs.studies.distillation.tables import compare
from docs.studies.distillation.training import BATCH, LAYOUT, draw_places, optimise
from docs.studies.distillation.views import list_phantoms, to_regions
from monai_kd.data import RandLoadWindowsd, read_datalist
from monai_kd.networks import ConvTeacher, HybridTeacher, PlainFusion
from tests.acceptance.pages import format_table, open_parser

ARMS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "ViT + MSGFF": HybridTeacher,
        "conv": ConvTeacher,
        "conv, widened": partial(ConvTeacher, stage_channels=(26, 52, 104, 204)),
        "ViT, plain fusion": partial(HybridTeacher, fusion=PlainFusion),
    }
)
SETTING = ("cases", "size", "window", "grid", "steps", "rate")
PARTS = ("test", "training")
HELD_BACK = 1 / 3


def main() -> None:
    """Train each arm with each seed, then write the table."""
    options = _parse()
    torch.set_num_threads(1)
    setting = {name: getattr(options, name) for name in SETTING}
    dataset_file = list_phantoms(
        options.out,
        name="phantoms-{cases}x{size}".format_map(setting),
        split=Split(test_fraction=HELD_BACK, folds=2),
        cases=options.cases,
        size=options.size,
        task="far_context",
    )
    log = Log(options.out / "runs.jsonl", setting)
    for seed in range(options.seeds):
        for arm in options.arms:
            if (arm, seed) not in {(run["arm"], run["seed"]) for run in log.read()}:
                log.append(_train_and_score(arm, seed, dataset_file=dataset_file, setting=setting))
    chosen = [r for r in log.read() if r["arm"] in options.arms and r["seed"] < options.seeds]
    (options.out / "far_context.md").write_text(_page(chosen, setting), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = open_parser(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS)[:2])
    parser.add_argument("--cases", type=int, default=360)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--window", type=int, nargs=3, default=[28, 32, 32], metavar="N")
    parser.add_argument("--grid", type=int, nargs=3, default=[176, 16, 16], metavar="N")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--rate", type=float, default=2e-3)
    return parser.parse_args()


def _load(
    dataset_file: Path, part: str, setting: Mapping[str, Any], *, flips: float
) -> tuple[list[Any], Compose]:
    """Records of a part, both folds of the training cases, and whole brains as the transform."""
    parts = ("training", "validation") if part == "training" else (part,)
    records = [r for name in parts for r in read_datalist(dataset_file, part=name)]
    keys = ["image", "label"]
    load = RandLoadWindowsd(keys, spatial_size=setting["window"], foreground=0.0)
    stretch = Resized(keys, spatial_size=setting["grid"], mode=["trilinear", "nearest"])
    turn = [RandFlipd(keys, prob=flips, spatial_axis=axis) for axis in (0, 1)]
    return records, Compose(
        [load, stretch, to_regions(dataset_file), *turn, ToTensord(keys, track_meta=False)]
    )


def _train_and_score(
    arm: str, seed: int, *, dataset_file: Path, setting: Mapping[str, Any]
) -> dict[str, Any]:
    set_determinism(seed=seed)
    network = ARMS[arm]().to(memory_format=LAYOUT)
    started = time.perf_counter()
    records, views = _load(dataset_file, "training", setting, flips=0.5)
    views.set_random_state(seed)
    steps, rate = setting["steps"], setting["rate"]
    losses = _follow(network.train(), records, views, seed=seed, steps=steps)
    weights = network.parameters()
    curve = optimise(losses, weights, rate=rate, steps=steps, warm_up=0.3, most=1.0)
    seconds = round(time.perf_counter() - started)
    scores = {part: _score(network, dataset_file, part, setting) for part in PARTS}
    parameters = sum(p.numel() for p in network.parameters())
    told = {"arm": arm, "seed": seed, "parameters": parameters, "seconds": seconds}
    return told | {"loss": curve} | scores


def _follow(
    network: nn.Module, records: Sequence[Any], views: Compose, *, seed: int, steps: int
) -> Iterator[Tensor]:
    dice = DiceLoss(sigmoid=True, batch=True)
    order = draw_places(len(records), seed=seed, count_drawn=steps * BATCH)
    for start in range(0, len(order), BATCH):
        windows = [views(records[index])[0] for index in order[start : start + BATCH]]
        image, label = (
            torch.stack([window[key] for window in windows]).contiguous(memory_format=LAYOUT)
            for key in ("image", "label")
        )
        logits = network(image)
        yield dice(logits, label) + functional.binary_cross_entropy_with_logits(logits, label)


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


def _page(runs: Sequence[Mapping[str, Any]], setting: Mapping[str, Any]) -> str:
    lines = [", ".join(f"{name} {value}" for name, value in setting.items()), ""]
    parameters = {run["arm"]: f"{run['parameters'] / 1e6:.2f} M" for run in runs}
    arms = [arm for arm in ARMS if arm in parameters]
    for score in ("dice", "told"):
        values = {a: [run["test"][score] for run in runs if run["arm"] == a] for a in arms}
        first, *others = values.values()
        heads = [f"test {score}", "parameters", *(f"seed {s}" for s in range(len(first))), "mean"]
        gains = [""] + [compare(first, other) if len(first) > 1 else "" for other in others]
        rows = [
            [
                a,
                parameters[a],
                *(f"{v:.3f}" for v in (*values[a], statistics.mean(values[a]))),
                gain,
            ]
            for a, gain in zip(arms, gains, strict=True)
        ]
        lines += [format_table([*heads, f"{arms[0]} less this, 95 %"], rows), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
