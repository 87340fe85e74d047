"""One teacher, one student of one arm: trained on stored views, scored on whole cases."""

import math
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import list_data_collate
from monai.inferers import SlidingWindowInferer
from monai.metrics import DiceMetric
from monai.utils import set_determinism
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from docs.studies.distillation.arms import Arm
from docs.studies.distillation.views import Task, View, open_views
from monai_kd.distillation import DistillationLoss
from monai_kd.distillation.terms.supervised_term import SupervisedTerm
from monai_kd.files import replace_file
from monai_kd.networks import HybridTeacher, TappedNetwork, to_network_output
from monai_kd.outputs import DistillationOutput, NetworkOutput

BATCH = 4
LAYOUT = torch.channels_last_3d
ADAMW = partial(torch.optim.AdamW, weight_decay=1e-3)
CONFIGS = ["bundles/distill.yaml", "docs/studies/distillation/study.yaml"]


def read_arm(arm: Arm) -> ConfigParser:
    """The bundle with the arm's overlays."""
    parser = ConfigParser(ConfigParser.load_config_files([*CONFIGS, *arm.overlays]))
    for key, value in arm.settings.items():
        parser[key] = value
    return parser


def train_teacher(dataset_file: Path, task: Task, *, seed: int, steps: int) -> nn.Module:
    """Train on ever new views of the labelled cases."""
    set_determinism(seed=seed)
    network: nn.Module = HybridTeacher(deep_supervision=2).to(memory_format=LAYOUT)
    dataset = open_views(dataset_file, task, views=0)
    labelled = [index for index, record in enumerate(dataset.data) if "label" in record]
    term = SupervisedTerm()
    network.train()

    def follow() -> Iterator[Tensor]:
        order = draw_places(len(labelled), seed=seed, count_drawn=steps * BATCH)
        for step in range(steps):
            dataset.start_epoch(step + 1)
            records = [dataset[labelled[i]] for i in order[step * BATCH : (step + 1) * BATCH]]
            batch = list_data_collate([window for windows in records for window in windows])
            image = batch["image"].contiguous(memory_format=LAYOUT)
            output = DistillationOutput(to_network_output(network(image), image))
            yield term(output, batch["label"])

    optimise(follow(), network.parameters(), rate=3.0e-3, steps=steps)
    return network.eval()


def prepare_teacher(
    path: Path, dataset_file: Path, task: Task, *, seed: int, steps: int
) -> nn.Module:
    """The teacher whose weights lie at `path`, trained first where they do not."""
    if not path.exists():
        trained = train_teacher(dataset_file, task, seed=seed, steps=steps)
        with replace_file(path) as temporary:
            torch.save(trained.state_dict(), temporary)
    teacher = HybridTeacher(deep_supervision=2)
    teacher.load_state_dict(torch.load(path, weights_only=True))
    return teacher.to(memory_format=LAYOUT).eval()


def train_student(
    arm: Arm, views: Sequence[View], said: Sequence[NetworkOutput] | None, *, seed: int, steps: int
) -> tuple[nn.Module, dict[str, Any]]:
    """Train the arm's student; return it with the time and the losses of each tenth."""
    set_determinism(seed=seed)
    parser = read_arm(arm)
    network: nn.Module = parser.get_parsed_content("network")
    loss: DistillationLoss = parser.get_parsed_content("loss")
    student = TappedNetwork(network, taps=loss.student_taps).train()
    learned = nn.ModuleList([network, loss])
    batches = _draw_batches(views, arm, seed=seed, steps=steps)
    started = time.perf_counter()
    losses = (loss(*ask(student, views, said, places)) for places in batches)
    curve = optimise(losses, learned.parameters(), rate=arm.rate, steps=steps)
    return network.eval(), {"seconds": round(time.perf_counter() - started), "loss": curve}


def optimise(
    losses: Iterable[Tensor],
    weights: Iterable[nn.Parameter],
    *,
    rate: float,
    steps: int,
    warm_up: float = 0.1,
    most: float = math.inf,
    open_optimizer: Any = ADAMW,
) -> list[float]:
    """Take a step down each loss; return the mean loss of each tenth of the steps.

    The rate goes up over the part `warm_up` of the steps, then down by a cosine. `most` is the
    largest norm of a gradient.
    """
    weights = list(weights)
    optimizer = open_optimizer(weights, rate)
    schedule = OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=warm_up)
    values = []
    for loss in losses:
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, most)
        optimizer.step()
        schedule.step()
        values.append(loss.item())
    return average_parts(values, steps // 10)


def average_parts(values: Sequence[float], length: int) -> list[float]:
    """Means over parts of so many values each."""
    length = max(1, length)
    parts = (values[start : start + length] for start in range(0, len(values), length))
    return [round(statistics.mean(part), 5) for part in parts]


def ask(
    student: nn.Module,
    views: Sequence[View],
    said: Sequence[NetworkOutput] | None,
    places: Sequence[int],
) -> tuple[DistillationOutput, Tensor]:
    """What the student says of the views at `places`, and what the teacher said; their labels."""
    chosen = [views[place] for place in places]
    image = torch.stack([view.image for view in chosen]).contiguous(memory_format=LAYOUT)
    label = torch.stack([view.label for view in chosen])
    teacher = None if said is None else _stack([said[place] for place in places])
    return DistillationOutput(student(image), teacher), label


@torch.no_grad()
def score(network: nn.Module, cases: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Mean Dice of each region, their mean, and every case's mean."""
    inferer = SlidingWindowInferer([48, 48, 48], overlap=0.25)
    metric = DiceMetric(ignore_empty=True)
    for image, label in cases:
        logits = inferer(image[None].contiguous(memory_format=LAYOUT), network)
        metric((logits > 0).float(), label[None])
    dice = metric.get_buffer()
    regions = dice.nanmean(dim=0)
    return {
        "dice": round(regions.mean().item(), 5),
        "regions": [round(value, 5) for value in regions.tolist()],
        "cases": [round(value, 4) for value in dice.nanmean(dim=1).tolist()],
    }


def draw_places(count: int, *, seed: int, count_drawn: int) -> list[int]:
    """So many places of `count`, permutation after permutation."""
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = []
    while len(order) < count_drawn:
        order += torch.randperm(count, generator=generator).tolist()
    return order[:count_drawn]


def _draw_batches(views: Sequence[View], arm: Arm, *, seed: int, steps: int) -> Iterator[list[int]]:
    """Places of the views of each step: half of a mixed batch is labelled."""
    known = [i for i, view in enumerate(views) if view.labelled]
    unknown = [i for i, view in enumerate(views) if not view.labelled]
    mixed = arm.unlabelled and bool(unknown)
    per_step = BATCH // 2 if mixed else BATCH
    labelled = draw_places(len(known), seed=seed, count_drawn=steps * per_step)
    others = (
        draw_places(len(unknown), seed=seed, count_drawn=steps * (BATCH - per_step))
        if mixed
        else []
    )
    for step in range(steps):
        first = labelled[step * per_step : (step + 1) * per_step]
        second = others[step * (BATCH - per_step) : (step + 1) * (BATCH - per_step)]
        yield [known[i] for i in first] + [unknown[i] for i in second]


def _stack(said: Sequence[NetworkOutput]) -> NetworkOutput:
    """What a teacher said of single views, as of a batch."""
    features = {
        name: torch.stack([output.features[name] for output in said]) for name in said[0].features
    }
    return NetworkOutput(torch.stack([output.logits for output in said]), features)
