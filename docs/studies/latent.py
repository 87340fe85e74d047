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
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.utils import set_determinism
from torch import Tensor, nn

from docs.studies.distillation.arms import OFF, Arm, overlay
from docs.studies.distillation.log import Log
from docs.studies.distillation.training import (
    ADAMW,
    BATCH,
    ask,
    average_parts,
    draw_places,
    optimise,
    prepare_teacher,
    read_arm,
    score,
)
from docs.studies.distillation.views import Task, View, load_cases, load_views, make_cases, remember
from docs.studies.latent_results import POINTS, SHOWN, draw, write_table
from monai_kd.distillation import DistillationLoss
from monai_kd.networks import TappedNetwork
from monai_kd.outputs import NetworkOutput
from tests.acceptance.pages import open_parser

WIDTHS = {
    "0.04 M": (8, 16, 24, 32),
    "0.15 M": (8, 24, 48, 80),
    "0.4 M": (16, 32, 80, 136),
    "1.3 M": (24, 64, 144, 248),
}
PUBLISHED = "0.4 M"
WEIGHTS = (1.0, 10.0, 100.0)
OPTIMIZERS = {  # the study's, and that of TransUNet
    "AdamW": ADAMW,
    "SGD": partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4),
}
FURTHER = [("AdamW", 3.0e-2), ("AdamW", 1.0e-1), ("SGD", 1.0e-2)]


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
            "loss#terms#latent#weight": self.weight,
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
    taps = read_arm(Arm("latent", overlay("latent"))).get_parsed_content("loss").teacher_taps
    said = remember(TappedNetwork(teacher, taps=taps), views)
    return Views(views, said, load_cases(dataset_file, "validation"))


def train(run: Run, given: Views, *, steps: int) -> dict[str, Any]:
    """Train one student; return its curves: means of each term, and the validation Dice."""
    set_determinism(seed=run.seed)
    parser = read_arm(run.open_arm())
    network: nn.Module = parser.get_parsed_content("network")
    loss: DistillationLoss = parser.get_parsed_content("loss")
    student = TappedNetwork(network, taps=loss.student_taps)
    curves: dict[str, list[float]] = {"supervised": [], "latent": [], "dice": []}
    part = max(1, steps // POINTS)

    def follow() -> Iterator[Tensor]:
        order = draw_places(len(given.views), seed=run.seed, count_drawn=steps * BATCH)
        for step in range(steps):
            places = order[step * BATCH : (step + 1) * BATCH]
            output, label = ask(student.train(), given.views, given.said, places)
            terms = {name: loss.terms[name](output, label) for name in ("supervised", "latent")}
            for name, value in terms.items():
                curves[name].append(value.item())
            total = terms["supervised"] + run.weight * terms["latent"]
            if not total.isfinite():
                return
            yield total
            if (step + 1) % part == 0:
                curves["dice"].append(score(network.eval(), given.validation)["dice"])

    optimise(
        follow(),
        [*network.parameters(), *loss.parameters()],
        rate=run.rate,
        steps=steps,
        open_optimizer=OPTIMIZERS[run.optimizer],
    )
    told = {**run._asdict(), "steps": steps, "first": round(curves["latent"][0], 5)}
    means = {name: average_parts(curves[name], part) for name in ("supervised", "latent")}
    parameters = sum(weight.numel() for weight in network.parameters())
    return {**told, "parameters": parameters, **means, "dice": curves["dice"]}


def main() -> None:
    """Train what is missing, then write and draw."""
    options = _parse()
    setting = {name: getattr(options, name) for name in ("steps", "cases", "teacher_steps")}
    log = Log(options.folder / "latent.jsonl", setting)
    options.folder.mkdir(parents=True, exist_ok=True)
    done = {Run(**{name: row[name] for name in Run._fields}) for row in log.read()}
    missing = [run for run in plan(options.sizes, options.seeds) if run not in done]
    if missing and not options.table:
        torch.set_num_threads(1)
        given = load(
            options.folder,
            options.study or options.folder,
            cases=options.cases,
            teacher_steps=options.teacher_steps,
        )
        for run in missing:
            log.append(train(run, given, steps=options.steps))
    rows = log.read()
    if not rows:
        raise SystemExit(f"{log.path} holds no run of this setting")
    write_table(rows, options.folder / "latent.md")
    options.output.mkdir(parents=True, exist_ok=True)
    draw(rows, options.output / "latent.png")


def _parse() -> argparse.Namespace:
    parser = open_parser(__doc__)
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
