"""Teacher, student and twin on the same held-back cases."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, from_engine
from monai.inferers import Inferer
from monai.transforms import AsDiscreted
from torch import Tensor, nn

from monai_kd.experiment.cost import count_cost, time_inference
from monai_kd.experiment.epoch_checkpoint import BEST, HISTORY
from monai_kd.experiment.history import summarise_dice
from monai_kd.experiment.slices import draw_background, draw_regions
from monai_kd.experiment.weights import load_weights
from monai_kd.files import replace_file

METRICS, SLICES = "metrics.json", "slices.npz"


class Comparison:
    """Scores networks by sliding window on the test cases and writes `metrics.json`, `slices.npz`.

    `networks` are modules by name, `stages` the folders that hold their checkpoints and histories;
    a network that was trained elsewhere has no history.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        *,
        stages: Mapping[str, str | Path],
        loader: DataLoader,
        inferer: Inferer,
        regions: Sequence[str],
        device: torch.device,
    ) -> None:
        self.networks = dict(networks)
        self.stages = {name: Path(folder) for name, folder in stages.items()}
        self.loader = loader
        self.inferer = inferer
        self.regions = tuple(regions)
        self.device = device

    def run(self, folder: str | Path, *, window: Sequence[int], shown_cases: int = 3) -> Path:
        """Evaluate, measure and draw every network; return the path of the metrics."""
        shown = [self.loader.dataset[i] for i in range(min(shown_cases, len(self.loader.dataset)))]
        images = [item["image"].as_tensor()[None] for item in shown]
        labels = [item["label"].as_tensor() for item in shown]
        pictures: dict[str, Any] = {"background": draw_background(images, labels=labels)}
        pictures["truth"] = draw_regions(labels, labels=labels, regions=self.regions)
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
            pictures[name] = draw_regions(logits, labels=labels, regions=self.regions)
        with replace_file(Path(folder) / SLICES) as temporary:
            np.savez_compressed(temporary, **pictures)
        with replace_file(Path(folder) / METRICS) as temporary:
            temporary.write_text(json.dumps({"regions": self.regions, "networks": rows}, indent=1))
        return Path(folder) / METRICS

    def _load_networks(self) -> list[tuple[str, nn.Module]]:
        """A copy of each network with its best weights, in evaluation mode."""
        loaded = []
        for name, network in self.networks.items():
            best = copy.deepcopy(network)
            load_weights(best, self.stages[name] / BEST)
            loaded.append((name, best.eval()))
        return loaded

    def _score(self, network: nn.Module) -> dict[str, Any]:
        """Dice per case and region; None where the truth lacks the region."""
        evaluator = SupervisedEvaluator(
            device=self.device,
            val_data_loader=self.loader,
            network=network.to(self.device),
            inferer=self.inferer,
            postprocessing=AsDiscreted(keys="pred", threshold=0.0),
            key_val_metric={"dice": MeanDice(output_transform=from_engine(["pred", "label"]))},
        )
        evaluator.run()
        details: Tensor = evaluator.state.metric_details["dice"]
        cases = [
            {"case": item["case"], **summarise_dice(row[None], regions=self.regions)}
            for item, row in zip(self.loader.dataset.data, details, strict=True)
        ]
        return {"dice": summarise_dice(details, regions=self.regions), "cases": cases}


def _read_records(history: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    if history.is_file():
        records = json.loads(history.read_text())["records"]
    return records
