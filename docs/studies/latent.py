"""Trains students of several sizes with the latent L1 pathway, plain and normalised.

    python -m docs.studies.latent FOLDER --study STUDY

The plain term is said to diverge with a student of 0.4 M parameters. Here it is trained beside the
normalised one and beside the twin, with the supervised term and nothing else, at several weights
and, in that size, several learning rates. STUDY is the folder of `docs.studies.distillation`, whose
phantoms and teacher are read; what it lacks is made in FOLDER. One line for each run goes to
FOLDER/latent.jsonl; a command that was interrupted goes on. Writes FOLDER/latent.md, and latent.png
into --output.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from monai.utils import set_determinism
from torch import Tensor, nn

from docs.studies.distillation.arms import OFF, RATE, Arm, overlay
from docs.studies.distillation.training import (
    BATCH,
    ask,
    draw_places,
    open_schedule,
    prepare_teacher,
    read_arm,
    score,
)
from docs.studies.distillation.views import Task, View, load_cases, load_views, make_cases, remember
from monai_kd.distillation import DistillationLoss
from monai_kd.networks import TappedNetwork
from monai_kd.outputs import NetworkOutput

WIDTHS = {
    "0.04 M": (8, 16, 24, 32),
    "0.15 M": (8, 24, 48, 80),
    "0.4 M": (16, 32, 80, 136),
    "1.3 M": (24, 64, 144, 248),
}
PUBLISHED = "0.4 M"
WEIGHTS = (1.0, 10.0, 100.0)
SHOWN = [("AdamW", RATE), ("SGD", 1.0e-1)]
FURTHER = [("AdamW", 3.0e-2), ("AdamW", 1.0e-1), ("SGD", 1.0e-2)]
POINTS = 10  # of each curve
FAILED = 0.3  # validation Dice below which a student learnt nothing of use
COLOURS = {"twin": "black", "plain": "tab:red", "normalised": "tab:blue"}
STYLES = {1.0: "-", 10.0: "--", 100.0: ":"}


class Run(NamedTuple):
    """One training; of weight 0 is the twin's."""

    size: str
    form: str
    weight: float
    rate: float
    seed: int
    optimizer: str = "AdamW"

    def open_arm(self) -> Arm:
        """The bundle with the latent pathway and a student of this size."""
        settings = {
            **OFF,
            "student_stages": describe_stages(WIDTHS[self.size]),
            "weights#latent": self.weight,
            "loss#terms#latent#normalised": self.form == "normalised",
        }
        return Arm(self.form, overlay("latent"), settings, rate=self.rate)


def describe_stages(widths: Sequence[int]) -> list[list[Any]]:
    """A student of one block a scale, finest first."""
    kinds = (("early", 0, 1), ("early", 1, 2), ("early", 1, 2), ("mbconv", 1, 2))
    return [[width, *numbers, kind] for width, (kind, *numbers) in zip(widths, kinds, strict=True)]


def plan(sizes: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """All sizes with two optimisers, the published one at other rates too.

    AdamW hides the scale of a gradient, SGD, with which TransUNet is trained, does not.
    """
    forms = [("twin", 0.0)] + [(form, w) for form in ("plain", "normalised") for w in WEIGHTS]
    return [
        Run(size, form, weight, rate, seed, optimizer)
        for seed in seeds
        for size in sizes
        for optimizer, rate in [*SHOWN, *(FURTHER if size == PUBLISHED else [])]
        for form, weight in forms
    ]


class Views(NamedTuple):
    """What students are trained with and scored on."""

    views: list[View]
    said: list[NetworkOutput]
    validation: list[tuple[Tensor, Tensor]]


def load(folder: Path, study: Path, *, cases: int, teacher_steps: int) -> Views:
    """Phantoms and teacher of the other study, or new ones, and what the teacher says."""
    task = Task(cases=cases)
    made = sorted(study.glob(f"voxels-phantoms-{cases}x*/dataset.json"))
    dataset_file = made[0] if made else make_cases(folder, task)
    views = load_views(dataset_file, task)
    path = study / f"teacher-full-1-{teacher_steps}.pt"
    if not path.exists():
        path = folder / path.name
    teacher = prepare_teacher(path, dataset_file, task, seed=1, steps=teacher_steps)
    taps = read_arm(Arm("latent", overlay("latent"))).get_parsed_content("teacher_taps")
    said = remember(TappedNetwork(teacher, taps=taps), views)
    return Views(views, said, load_cases(dataset_file, "validation"))


def train(run: Run, given: Views, *, steps: int) -> dict[str, Any]:
    """Train one student; return its curves: means of each term, and the validation Dice."""
    set_determinism(seed=run.seed)
    parser = read_arm(run.open_arm())
    network: nn.Module = parser.get_parsed_content("network")
    loss: DistillationLoss = parser.get_parsed_content("loss")
    student = TappedNetwork(network, taps=parser.get_parsed_content("student_taps"))
    weights = [*network.parameters(), *loss.parameters()]
    optimizer = open_optimizer(run, weights)
    schedule = open_schedule(optimizer, run.rate, steps)
    curves: dict[str, list[float]] = {"supervised": [], "latent": [], "dice": []}
    order = draw_places(len(given.views), seed=run.seed, count_drawn=steps * BATCH)
    for step in range(steps):
        places = order[step * BATCH : (step + 1) * BATCH]
        student.train()
        output, label = ask(student, given.views, given.said, places)
        terms = {name: loss.terms[name](output, label) for name in ("supervised", "latent")}
        total = terms["supervised"] + run.weight * terms["latent"]
        curves["supervised"].append(terms["supervised"].item())
        curves["latent"].append(terms["latent"].item())
        if not math.isfinite(total.item()):
            break
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
        if len(curves["latent"]) % (steps // POINTS) == 0:
            curves["dice"].append(score(network.eval(), given.validation)["dice"])
    parameters = sum(weight.numel() for weight in network.parameters())
    return {**run._asdict(), "steps": steps, "parameters": parameters, **shorten(curves, steps)}


def open_optimizer(run: Run, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The study's, or that of TransUNet."""
    if run.optimizer == "SGD":
        return torch.optim.SGD(weights, run.rate, momentum=0.9, weight_decay=1e-4)
    return torch.optim.AdamW(weights, run.rate, weight_decay=1e-3)


def shorten(curves: Mapping[str, list[float]], steps: int) -> dict[str, Any]:
    """Means over each part of the training; the latent term's first value apart."""
    part = steps // POINTS
    means = {
        name: [
            round(sum(chunk) / len(chunk), 5)
            for chunk in (curves[name][i : i + part] for i in range(0, len(curves[name]), part))
        ]
        for name in ("supervised", "latent")
    }
    return {"first": round(curves["latent"][0], 5), **means, "dice": curves["dice"]}


def judge(row: Mapping[str, Any]) -> str:
    """In a word: what the latent term did, and whether the student learnt to segment."""
    if not math.isfinite(row["latent"][-1]):
        return "not finite"
    if row["weight"] and row["latent"][-1] > max(row["first"], row["latent"][0]):
        return "diverged"
    return "failed" if row["dice"][-1] < FAILED else "converged"


def write_table(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Markdown, by size, rate, form, weight."""
    heads = ("parameters", "optimiser", "rate", "form", "weight", "seed")
    heads += ("latent: first, last over first", "supervised, last", "Dice, best", "Dice, last", "")
    lines = [heads, ("---",) * len(heads)]
    order = list(COLOURS)
    for row in sorted(
        rows,
        key=lambda r: (
            r["parameters"],
            r["optimizer"],
            r["rate"],
            order.index(r["form"]),
            r["weight"],
            r["seed"],
        ),
    ):
        ratio = row["latent"][-1] / row["first"]
        lines.append(
            (
                f"{row['parameters'] / 1e6:.2f} M",
                row["optimizer"],
                f"{row['rate']:g}",
                row["form"],
                f"{row['weight']:g}",
                str(row["seed"]),
                f"{row['first']:.3f}, {ratio:.2f}",
                f"{row['supervised'][-1]:.3f}",
                f"{max(row['dice'], default=0):.3f}",
                f"{row['dice'][-1] if row['dice'] else 0:.3f}",
                judge(row),
            )
        )
    file.write_text("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n", "utf-8")


def draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Curves over the training: a column for each size, two rows for each optimiser."""
    sizes = sorted({row["parameters"] for row in rows})
    figure, axes = plt.subplots(
        2 * len(SHOWN),
        len(sizes),
        figsize=(3 * len(sizes) + 1.5, 9),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for place, setting in enumerate(SHOWN):
        shown = [
            row
            for row in rows
            if (row["optimizer"], row["rate"]) == setting and row["seed"] == rows[0]["seed"]
        ]
        _draw_setting(shown, axes[2 * place : 2 * place + 2], sizes)
        name = "{} at {:g}".format(*setting)
        axes[2 * place, 0].set_ylabel(f"{name}:\nlatent term over its first")
        axes[2 * place + 1, 0].set_ylabel(f"{name}:\nvalidation Dice")
        axes[2 * place, 0].set_yscale("log")
    for place, size in enumerate(sizes):
        axes[0, place].set_title(f"{size / 1e6:.2f} M parameters")
        axes[-1, place].set_xlabel("share of the training")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    handles = axes[1, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(sizes) + 1)
    figure.savefig(file, dpi=110)


def _draw_setting(rows: Sequence[Mapping[str, Any]], axes: Any, sizes: Sequence[int]) -> None:
    """The latent term in the first row of axes, Dice in the second."""
    for row in rows:
        column = sizes.index(row["parameters"])
        name = row["form"] + (f", weight {row['weight']:g}" if row["weight"] else "")
        look = {"color": COLOURS[row["form"]], "linestyle": STYLES.get(row["weight"], "-")}
        if row["weight"]:
            over_first = [value / row["first"] for value in row["latent"]]
            axes[0, column].plot(*_spread(over_first), **look)
        axes[1, column].plot(*_spread(row["dice"]), **look, label=name)


def _spread(values: Sequence[float]) -> tuple[list[float], Sequence[float]]:
    """Places on the axis of parts of the training that may have ended early."""
    return [(part + 1) / POINTS for part in range(len(values))], values


def main() -> None:
    """Train what is missing, then write and draw."""
    options = _parse()
    log = options.folder / "latent.jsonl"
    options.folder.mkdir(parents=True, exist_ok=True)
    missing = [run for run in plan(options.sizes, options.seeds) if run not in _done(log)]
    if missing and not options.table:
        torch.set_num_threads(1)
        given = load(
            options.folder,
            options.study or options.folder,
            cases=options.cases,
            teacher_steps=options.teacher_steps,
        )
        for run in missing:
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(train(run, given, steps=options.steps)) + "\n")
    rows = _read(log)
    write_table(rows, options.folder / "latent.md")
    options.output.mkdir(parents=True, exist_ok=True)
    draw(rows, options.output / "latent.png")


def _done(log: Path) -> set[Run]:
    return {Run(**{name: row[name] for name in Run._fields}) for row in _read(log)}


def _read(log: Path) -> list[dict[str, Any]]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [json.loads(line) for line in lines]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--study", type=Path, help="folder of docs.studies.distillation")
    parser.add_argument("--sizes", nargs="+", default=list(WIDTHS), choices=list(WIDTHS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=200, help="of a student")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--teacher-steps", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--table", action="store_true", help="train nothing, write what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
