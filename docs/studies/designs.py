"""Trains candidate students and two peers from scratch and draws accuracy against time.

    python -m docs.studies.designs FOLDER

Each is trained as the twin of the default run is, for 12 epochs: same phantoms, windows, steps,
optimiser, seeds. Designs are compared on the validation cases; the test cases are for the peers.
FOLDER keeps every run; a command that was interrupted goes on. Writes FOLDER/designs.json, and
designs.md and designs.png into --output.
"""

import json
import statistics
from operator import itemgetter
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from rich.console import Console
from torch import nn

from docs.studies.benchmark.backends import LAYOUTS, prepare_torch
from docs.studies.benchmark.environment import is_prepared, restart
from docs.studies.benchmark.timing import time_calls
from monai_kd.experiment import Comparison
from monai_kd.networks.efficientnet_student import STAGES, Stage
from tests.acceptance.pages import format_table, open_parser

CONFIGS = ["bundles/distill.yaml", "bundles/twin.yaml"]
STUDENT = "monai_kd.networks.EfficientNetStudent"
Settings = dict[str, Any]
RATES = {"SegResNet": (4.0e-3, 1.0e-3)}  # it may choose; all others have the default run's own
RATE = 4.0e-3
EPOCHS = 12
CHOSEN = "student (chosen)"


def describe(kinds: str, *, expansion: int = 4, fine: Stage = STAGES[0]) -> Settings:
    """Settings of a student of three deepest blocks; kinds of the coarser scales by initial."""
    names = {"e": "early", "m": "mbconv", "f": "fused"}
    coarse = [
        stage._replace(kind=names[kind], expansion=min(expansion, 2) if kind == "f" else expansion)
        for stage, kind in zip(STAGES[1:], kinds, strict=True)
    ]
    coarse[-1] = coarse[-1]._replace(repeats=3)
    return {"_target_": STUDENT, "stages": [[*stage] for stage in (fine, *coarse)]}


def describe_patches(*channels: int) -> Settings:
    """A student that starts at a quarter of the resolution."""
    kinds = ("early", "early", "mbconv")
    stages = [[*Stage(count, 2, 4, kind)] for count, kind in zip(channels, kinds, strict=True)]
    return {"_target_": STUDENT, "stages": stages, "patch_size": 4}


DESIGNS: dict[str, Settings] = {
    CHOSEN: {"_target_": STUDENT},
    "a third deep block": describe("eem"),
    "a third deep block, 8 channels high": describe("eem", fine=STAGES[0]._replace(channels=8)),
    "MBConv at half resolution": describe("eem", fine=Stage(16, 1, 2, "mbconv")),
    "early everywhere": describe("eee"),
    "MBConv everywhere": describe("mmm"),
    "MBConv, squeeze-excitation": {**describe("mmm"), "squeeze_excitation": True},
    "MBConv, expansion 2": describe("mmm", expansion=2),
    "fused high": describe("fmm"),
    "patches of 4": describe_patches(48, 96, 160),
    "SegResNet": {
        "_target_": "SegResNet",
        "init_filters": 16,
        "in_channels": 4,
        "out_channels": 3,
        "blocks_down": [1, 2, 2, 4],
        "blocks_up": [1, 1, 1],
    },
    "FlexibleUNet-b0": {
        "_target_": "FlexibleUNet",
        "in_channels": 4,
        "out_channels": 3,
        "backbone": "efficientnet-b0",
        "spatial_dims": 3,
    },
}


def train_seeds(name: str, seeds: list[int], *, folder: Path, epochs: int) -> list[Settings]:
    """All seeds at one learning rate, the one that was better on the first seed's validation."""
    rates = RATES.get(name, (RATE,))
    first = [train(name, seeds[0], folder=folder, epochs=epochs, rate=rate) for rate in rates]
    best = max(first, key=itemgetter("validation"))
    budget = {"folder": folder, "epochs": epochs, "rate": best["rate"]}
    return [best, *(train(name, seed, **budget) for seed in seeds[1:])]


def train(name: str, seed: int, *, folder: Path, epochs: int, rate: float) -> Settings:
    """Train one network with one seed, unless it is done, and score it on the test cases."""
    metrics = folder / name_run(name, seed, rate) / "metrics.json"
    if not metrics.exists():
        workflow = open_bundle(name, seed, folder=folder, epochs=epochs, rate=rate)
        workflow.run()
        read = workflow.parser.get_parsed_content
        Comparison(
            {name: read("network")},
            stages={name: read("stage_dir")},
            loader=read("test#dataloader"),
            inferer=read("validate#inferer"),
            postprocessing=read("validate#postprocessing"),
            metric=read("validate#key_metric"),
            task=read("task"),
            title="Dice",
            device=read("device"),
        ).run(metrics.parent, window=read("window"))
    row: Settings = json.loads(metrics.read_text())["networks"][name]
    if (row["parameters"], len(row["history"])) != (count_parameters(name), epochs):
        raise SystemExit(f"{metrics.parent} is of another design or budget: remove it")
    best = max(record["score"]["mean"] for record in row["history"] if record["score"])
    return {"name": name, "seed": seed, "rate": rate, "validation": best, "score": row["score"]}


def name_run(name: str, seed: int, rate: float) -> str:
    """Name the folder of one training."""
    return f"{name.replace(',', '').replace(' ', '-')}-{rate:g}-{seed}"


def open_bundle(name: str, seed: int, *, folder: Path, epochs: int, rate: float) -> ConfigWorkflow:
    """Return the twin's stage of the bundle, with another network."""
    workflow = ConfigWorkflow(
        config_file=CONFIGS,
        meta_file="bundles/metadata.json",
        logging_file=False,
        run_id="training",
        recipe="phantom",
        runs_dir=str(folder),
        run_name=name_run(name, seed, rate),
        seed=seed,
        max_epochs=epochs,
        learning_rate=rate,
        network_def=DESIGNS[name],
    )
    workflow.initialize()
    return workflow


def time_networks(names: list[str], *, window: int) -> dict[str, float]:
    """Median milliseconds of one window in torch fp32, in the better of two layouts."""
    image = torch.randn(1, 4, window, window, window)
    calls = {
        (name, layout): prepare_torch(make(name), image, layout=layout)
        for name in names
        for layout in LAYOUTS
    }
    times = time_calls(calls, tell=Console().print, row_of=lambda key: key[0])
    return {
        name: min(statistics.median(taken) for (one, _), taken in times.items() if one == name)
        for name in names
    }


def count_parameters(name: str) -> int:
    """Return the number of a network's weights."""
    return sum(weight.numel() for weight in make(name).parameters())


def make(name: str) -> nn.Module:
    """Return the network with random weights, ready to run."""
    network: nn.Module = ConfigParser({"network": DESIGNS[name]}).get_parsed_content("network")
    return network.eval()


def summarise(rows: dict[str, list[Settings]], milliseconds: dict[str, float]) -> list[Settings]:
    """One row a network: mean Dice over seeds, each seed's, parameters, time."""
    return [
        {
            "network": name,
            "parameters": count_parameters(name),
            "ms": milliseconds[name],
            "rate": results[0]["rate"],
            "dice": statistics.mean(row["score"]["mean"] for row in results),
            "seeds": [row["score"]["mean"] for row in results],
            "validation": statistics.mean(row["validation"] for row in results),
            "ET": statistics.mean(row["score"]["ET"] for row in results),
        }
        for name, results in rows.items()
    ]


def write_table(summary: list[Settings], file: Path) -> None:
    """Markdown, the fastest first."""
    heads = ["network", "parameters", "ms", "validation", "test Dice", "each seed", "ET"]
    lines = [
        [
            row["network"],
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['ms']:.0f}",
            f"{row['validation']:.3f}",
            f"{row['dice']:.3f}",
            ", ".join(f"{dice:.3f}" for dice in row["seeds"]),
            f"{row['ET']:.3f}",
            f"{1000 * row['dice'] / row['ms']:.2f}",
        ]
        for row in sorted(summary, key=itemgetter("ms"))
    ]
    file.write_text(format_table([*heads, "Dice per second"], lines) + "\n")


def draw(summary: list[Settings], file: Path) -> None:
    """Accuracy against time, one point a network, a whisker from the worst to the best seed."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    colours = plt.get_cmap("tab20").colors
    for row, colour in zip(sorted(summary, key=itemgetter("ms")), colours, strict=False):
        below = row["dice"] - min(row["seeds"])
        above = max(row["seeds"]) - row["dice"]
        axes.errorbar(
            row["ms"],
            row["dice"],
            yerr=[[below], [above]],
            fmt="*" if row["network"] == CHOSEN else "o",
            markersize=14 if row["network"] == CHOSEN else 7,
            color=colour,
            capsize=3,
            label=row["network"],
        )
    axes.set_xscale("log")
    axes.set_xlabel("ms of a 128³ window, torch fp32, better layout, two cores")
    axes.set_ylabel("test Dice on phantoms, from scratch")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", title="the fastest first", fontsize=9)
    figure.savefig(file, dpi=120)


def main() -> None:
    """Train, time, write."""
    parser = open_parser(__doc__)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("--names", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--train-only", action="store_true", help="time and write nothing")
    args = parser.parse_args()
    if not is_prepared():
        restart("docs.studies.designs")
    rows = {
        name: train_seeds(name, args.seeds, folder=args.folder, epochs=args.epochs)
        for name in args.names
    }
    if args.train_only:
        return
    summary = summarise(rows, time_networks(args.names, window=128))
    args.output.mkdir(parents=True, exist_ok=True)
    (args.folder / "designs.json").write_text(json.dumps(summary, indent=1))
    write_table(summary, args.output / "designs.md")
    draw(summary, args.output / "designs.png")


if __name__ == "__main__":
    main()
