"""What the fragments of `bundles/tasks` promise: a perfect answer scores 1, a wrong one less."""

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from torch import nn

from monai_kd.experiment.history import read_score
from monai_kd.outputs import Task

ROOT = Path(__file__).parents[2]
IMPORTS = [
    "$import monai",
    "$import monai_kd.data as data",
    "$import monai_kd.experiment as experiment",
]
TASKS = {
    "regions": Task("regions", 3, ("a",), {"whole": (1, 2), "core": (2,)}),
    "classes": Task("classes", 3, ("a",), {"background": (0,), "left": (1,), "right": (2,)}),
    "classification": Task("classification", 2, ("a",), {"x": (0,), "y": (1,), "z": (2,)}),
}


class Answers(nn.Module):
    """The image itself says the value; logits are what a perfect network answers to it."""

    def __init__(self, task, *, wrong):
        super().__init__()
        self.task, self.wrong = task, wrong

    def forward(self, image):
        """Logits, of the next value where it is wrong."""
        value = (image[:, :1] + self.wrong) % 3
        if self.task.kind == "classification":
            value = value.flatten(1)[:, :1]
        found = [sum(value == v for v in values) for values in self.task.outputs.values()]
        return 8.0 * torch.cat(found, dim=1).float() - 4.0


@pytest.fixture
def evaluate(monkeypatch):
    monkeypatch.chdir(ROOT)

    def evaluate(kind, *, wrong):
        task = TASKS[kind]
        parser = ConfigParser({"imports": IMPORTS, "window": [8] * 3, "stated": task._asdict()})
        parser["task"] = "$data.read_task(@stated)"
        parser["kind"] = f"%bundles/tasks/{kind}.yaml#training"
        parser.parse()
        fragment = parser.get_parsed_content("kind")
        values = torch.arange(12) % 3
        items = [{"image": torch.full((1, *[8] * task.spatial_dims), float(v))} for v in values]
        for item, value in zip(items, values, strict=True):
            if task.spatial_dims == 3:
                item["image"][:, :4] = float((value + 1) % 3)
            item["label"] = item["image"].clone() if task.spatial_dims == 3 else value
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(items, fragment["label"]), batch_size=2),
            network=Answers(task, wrong=wrong),
            inferer=fragment["inferer"],
            postprocessing=fragment["postprocessing"],
            key_val_metric=fragment["metric"],
        )
        evaluator.run()
        return read_score(evaluator, outputs=task.scored), fragment["title"]

    return evaluate


@pytest.mark.parametrize(
    ("kind", "outputs", "title"),
    [
        ("regions", {"whole", "core", "mean"}, "Dice"),
        ("classes", {"left", "right", "mean"}, "Dice"),
        ("classification", {"mean"}, "Accuracy"),
    ],
)
def test_a_perfect_answer_scores_one_and_a_wrong_one_less(evaluate, kind, outputs, title):
    score, found = evaluate(kind, wrong=0)
    assert (set(score), found) == (outputs, title)
    assert score["mean"] == pytest.approx(1.0)
    assert evaluate(kind, wrong=1)[0]["mean"] < 0.7
