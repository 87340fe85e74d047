"""Interrupted training resumes, and the best student is never lost."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_kd.experiment.history import History
from monai_kd.experiment.weights import save_state
from monai_kd.files import replace_file

LAST, BEST, HISTORY = "last.pt", "model.pt", "history.json"


class EpochCheckpoint:
    """Saves everything that training needs after each epoch, and resumes from it when it starts.

    `model.pt` is the plain state dict of the best network by validated mean score. The best value
    travels in `last.pt`, so that a resumed run never replaces the best network by a worse one, as
    MONAI's `CheckpointSaver` does. Every file is replaced whole. It attaches the history that it
    saves; in the list of handlers it follows validation and the schedule.
    """

    def __init__(
        self, folder: str, *, network: nn.Module, parts: Mapping[str, Any], history: History
    ) -> None:
        self.folder = Path(folder)
        self.network = network
        self.parts = dict(parts)
        self.history = history
        self.best_score = -math.inf

    def attach(self, engine: Engine) -> None:
        """Restore when the trainer starts, save when an epoch is complete."""
        self.history.attach(engine)
        engine.add_event_handler(Events.STARTED, self._restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _restore(self, engine: Engine) -> None:
        path = self.folder / LAST
        if not path.is_file():
            return
        saved = torch.load(path, map_location="cpu", weights_only=True)
        for name, part in self._all_parts(engine).items():
            if name in saved["parts"]:  # a run that began on a CPU has no scaler
                part.load_state_dict(saved["parts"][name])
        self.best_score = saved["best_score"]
        self.history.records = saved["records"]
        engine.state.epoch = saved["epoch"]
        engine.state.iteration = saved["epoch"] * engine.state.epoch_length
        self._write_history(engine)

    def _save(self, engine: Engine) -> None:
        self._save_if_best(is_last=engine.state.epoch == engine.state.max_epochs)
        parts = {name: part.state_dict() for name, part in self._all_parts(engine).items()}
        saved = {
            "parts": parts,
            "best_score": self.best_score,
            "records": self.history.records,
            "epoch": engine.state.epoch,
        }
        save_state(saved, self.folder / LAST)
        self._write_history(engine)

    def _write_history(self, engine: Engine) -> None:
        with replace_file(self.folder / HISTORY) as temporary:
            summary = {"max_epochs": engine.state.max_epochs, "records": self.history.records}
            temporary.write_text(json.dumps(summary, indent=1))

    def _save_if_best(self, *, is_last: bool) -> None:
        score = self.history.records[-1]["score"]
        mean = -math.inf if score is None or score["mean"] is None else score["mean"]
        never_validated = is_last and self.best_score == -math.inf
        if mean > self.best_score or never_validated:
            save_state(self.network.state_dict(), self.folder / BEST)
            self.best_score = mean

    def _all_parts(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        return {**self.parts, **({"scaler": scaler} if scaler is not None else {})}


def is_finished(folder: Path) -> bool:
    """Whether training in this folder has completed its last epoch."""
    path = folder / HISTORY
    if not (path.is_file() and (folder / BEST).is_file()):
        return False
    summary = json.loads(path.read_text())
    return len(summary["records"]) >= int(summary["max_epochs"])
