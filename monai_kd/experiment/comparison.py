"""Teacher, student and twin on the same held-back cases."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.transforms import Transform
from torch import nn

from monai_kd.experiment.cost import count_cost, time_inference
from monai_kd.experiment.epoch_checkpoint import BEST, HISTORY
from monai_kd.experiment.history import read_score, summarise_scores
from monai_kd.experiment.slices import draw_background, draw_outputs
from monai_kd.experiment.weights import load_weights
from monai_kd.files import replace_file
from monai_kd.outputs import Task

METRICS, SLICES = "metrics.json", "slices.npz"


class Comparison:
    """Scores networks on the test cases and writes `metrics.json` and `slices.npz`.

    Args:
        networks: modules by name.
        stages: the folders that hold their checkpoints and histories; a network that was trained
            elsewhere has no history.
        loader: of the test cases.
        inferer: asks a network for a case's logits.
        postprocessing: from logits to what `metric` compares.
        metric: one by name, see `key_val_metric` of MONAI's evaluators.
        task: what the networks answer.
        title: of the metric, for people.
        titles: of the task's channels and outputs, for people, where they have any.
        device: where they are scored.
    """

    def __init__(  # noqa: PLR0913  (how MONAI's evaluator is put together, and for whom)
        self,
        networks: Mapping[str, nn.Module],
        *,
        stages: Mapping[str, str | Path],
        loader: DataLoader,
        inferer: Inferer,
        postprocessing: Transform,
        metric: Mapping[str, Metric],
        task: Task,
        title: str,
        device: torch.device | str,
        titles: Mapping[str, str] | None = None,
    ) -> None:
        self.networks = dict(networks)
        self.stages = {name: Path(folder) for name, folder in stages.items()}
        self.loader = loader
        self.inferer = inferer
        self.postprocessing = postprocessing
        self.metric = dict(metric)
        self.task = task
        self.title = title
        self.titles = dict(titles or {})
        self.device = torch.device(device)

    def run(self, folder: str | Path, *, window: Sequence[int], shown_cases: int = 3) -> Path:
        """Evaluate, measure and draw every network; return the path of the metrics."""
        shown = [self.loader.dataset[i] for i in range(min(shown_cases, len(self.loader.dataset)))]
        images = [item["image"].as_tensor()[None] for item in shown]
        labels = [item["label"].as_tensor() for item in shown]
        pictures: dict[str, Any] = {"background": draw_background(images, labels=labels)}
        pictures["truth"] = draw_outputs(labels, labels=labels, task=self.task)
        pictures["cases"] = [item["case"] for item in shown]
        rows = {}
        for name, network in self._load_networks():
            scores = self._score(network)
            milliseconds, logits = time_inference(
                network.cpu(), images=images, inferer=self.inferer
            )
            rows[name] = {
                **scores,
                **count_cost(network, channels=images[0].shape[1], window=window),
                "cpu_ms_per_volume": milliseconds,
                "volume_shape": list(images[0].shape[2:]),
                "history": _read_records(self.stages[name] / HISTORY),
            }
            pictures[name] = draw_outputs(logits, labels=labels, task=self.task)
        with replace_file(Path(folder) / SLICES) as temporary:
            np.savez_compressed(temporary, **pictures)
        with replace_file(Path(folder) / METRICS) as temporary:
            temporary.write_text(json.dumps(self._describe() | {"networks": rows}, indent=1))
        return Path(folder) / METRICS

    def _load_networks(self) -> list[tuple[str, nn.Module]]:
        """A copy of each network with its best weights, in evaluation mode."""
        loaded = []
        for name, network in self.networks.items():
            best = copy.deepcopy(network)
            load_weights(best, self.stages[name] / BEST)
            loaded.append((name, best.eval()))
        return loaded

    def _describe(self) -> dict[str, Any]:
        """What the scores are of, by the names that people read."""
        names = [*self.task.channels, *self.task.outputs]
        return {
            "metric": self.title,
            "outputs": self.task.scored,
            "channels": self.task.channels,
            "titles": {name: self.titles.get(name, name) for name in names},
        }

    def _score(self, network: nn.Module) -> dict[str, Any]:
        """The score of each output, over the cases and of each; None where the truth lacks it."""
        evaluator = SupervisedEvaluator(
            device=self.device,
            val_data_loader=self.loader,
            network=network.to(self.device),
            inferer=self.inferer,
            postprocessing=self.postprocessing,
            key_val_metric=self.metric,
        )
        evaluator.run()
        details = evaluator.state.metric_details.get(evaluator.state.key_metric_name, ())
        cases = [
            {"case": item["case"], **summarise_scores(row[None], outputs=self.task.scored)}
            for item, row in zip(self.loader.dataset.data, details, strict=bool(len(details)))
        ]
        return {"score": read_score(evaluator, outputs=self.task.scored), "cases": cases}


def _read_records(history: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    if history.is_file():
        records = json.loads(history.read_text())["records"]
    return records
