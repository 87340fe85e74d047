"""Reports what goes wrong in a distillation without an error."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents
from torch import Tensor, nn

from monai_kd.experiment.errors import ExperimentError
from monai_kd.experiment.history import History, find_best_score
from monai_kd.outputs import DistillationOutput

DOMINANCE = 100.0
IMAGE_FAULT = "the image is not finite: fix the scan, or the transform that changed it"
LABEL_FAULT = "the label is not finite: fix it, or leave the case out"
TEACHER_FAULT = (
    "the teacher's logits are not finite though the image is: look at its checkpoint, or turn amp "
    "off"
)
STUDENT_FAULT = (
    "the student's logits are not finite though the image is: an earlier step spoiled its weights, "
    "so lower learning_rate; or half precision overflowed, so turn amp off"
)
TERM_FAULT = (
    "image, label and logits are finite, so it is the term itself or a feature that it reads: "
    "lower its weight or learning_rate, or leave it out"
)


class DistillationGuard:
    """Stops at a loss that is not finite, before a step is taken; warns of what only looks well.

    Warnings, each once: the teacher validated no better than the student, or at a score of zero; a
    term of the teacher, weighed, is a hundred times the supervised ones over an epoch; the student
    finds no foreground in any window of an epoch, the first one apart, though the labels have some.

    In the list of handlers it follows the one that attaches the history. The trainer's network is
    a distiller, and its output is not decollated.

    Args:
        history: of this training; its loss is watched.
        teacher_history: `history.json` of the teacher's own training, where there is one.
    """

    def __init__(
        self, history: History, *, teacher_history: str | os.PathLike[str] | None = None
    ) -> None:
        self.history = history
        self.loss = history.loss
        self.teacher_history = None if teacher_history is None else Path(teacher_history)
        self._teacher_score: float | None = None
        self._told: set[str] = set()
        self._factors: dict[str, Tensor] = {}
        self._weighed: dict[str, Tensor] = {}
        self._found: Tensor | bool = False
        self._drawn: Tensor | bool = False

    def attach(self, engine: Engine) -> None:
        """Watch the trainer, and how its loss weighs terms."""
        if self.loss.weighing is not None:
            self.loss.weighing.register_forward_hook(self._hear_factors)
        engine.add_event_handler(Events.STARTED, self._read_teacher)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._check_finite)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._add_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._check_epoch)

    def _hear_factors(self, _weighing: nn.Module, _inputs: Any, factors: dict[str, Tensor]) -> None:
        self._factors = factors

    def _read_teacher(self, _engine: Engine) -> None:
        if self.teacher_history is None or not any(
            term.needs_teacher for term in self.loss.terms.values()
        ):
            return
        if not self.teacher_history.is_file():
            self._warn(
                "teacher unknown",
                f"{self.teacher_history} is not there, so nobody knows "
                "how good the teacher is: validate it first",
            )
            return
        self._teacher_score = find_best_score(
            json.loads(self.teacher_history.read_text())["records"]
        )
        if not self._teacher_score:
            found = (
                "was never validated"
                if self._teacher_score is None
                else "validated at a score of 0"
            )
            self._warn(
                "teacher unfit",
                f"the teacher {found}: a student learns nothing from it; "
                "train it longer, or look at its labels",
            )

    def _start_epoch(self, _engine: Engine) -> None:
        self._weighed, self._found, self._drawn = {}, False, False

    def _check_finite(self, engine: Engine) -> None:
        if not bool(torch.isfinite(engine.state.output["loss"])):
            raise ExperimentError(explain_loss(engine, self.history.latest))

    def _add_iteration(self, engine: Engine) -> None:
        """Add without waiting for the device."""
        for name, value in self.history.latest.items():
            weighed = self.loss.current_weight(name) * self._factors.get(name, 1) * value.abs()
            self._weighed[name] = self._weighed.get(name, 0) + weighed
        label, logits = engine.state.output["label"], engine.state.output["pred"].student.logits
        if label.ndim > 2:  # a segmentation
            self._found = _has_foreground(logits.detach(), label) | self._found
            self._drawn = (label > 0).any() | self._drawn

    def _check_epoch(self, engine: Engine) -> None:
        self._check_dominance(engine.state.epoch)
        if engine.state.epoch > 1 and bool(self._drawn) and not bool(self._found):
            self._warn(
                "collapse",
                f"the student found no foreground in any window of epoch "
                f"{engine.state.epoch}, though the labels have some: it has collapsed; "
                "lower learning_rate or the weights of the teacher's terms",
            )
        student_score = find_best_score(self.history.records)
        if (
            self._teacher_score
            and student_score is not None
            and student_score > self._teacher_score
        ):
            self._warn(
                "teacher worse",
                f"the student's validated score {student_score:.3f} is above "
                f"the teacher's {self._teacher_score:.3f}: it has little left to learn from "
                "it; train the teacher longer, or ramp its terms down",
            )

    def _check_dominance(self, epoch: int) -> None:
        sums = {name: float(value) for name, value in self._weighed.items()}
        supervised = sum(v for n, v in sums.items() if not self.loss.terms[n].needs_teacher)
        for name, value in sums.items():
            if self.loss.terms[name].needs_teacher and value > DOMINANCE * supervised > 0:
                self._warn(
                    f"dominance of {name}",
                    f"term '{name}', weighed, is "
                    f"{value / supervised:.0f} times the supervised loss in epoch {epoch}: "
                    "lower its weight, or let a weighing scale it",
                )

    def _warn(self, kind: str, message: str) -> None:
        """Once; logging.conf shows warnings on the console and keeps them in the run's log."""
        if kind not in self._told:
            self._told.add(kind)
            logging.getLogger(__name__).warning(message)


def explain_loss(engine: Engine, terms: dict[str, Tensor]) -> str:
    """Which terms of this iteration are not finite, why as far as can be seen, and what to do."""
    state = engine.state
    faulty = [f"'{name}' is {v.item()}" for name, v in terms.items() if not torch.isfinite(v)]
    what = f"term {', '.join(faulty)}" if faulty else f"the sum of terms is {state.output['loss']}"
    cases = state.batch.get("case", []) if isinstance(state.batch, dict) else []
    windows, reason = _find_cause(state.output)
    named = [case for case, faulty in zip(cases, windows, strict=False) if faulty] or list(cases)
    where = ", ".join(dict.fromkeys(map(str, named))) or "of unknown name"
    return f"{what} in epoch {state.epoch}, iteration {state.iteration}, case {where}: {reason}"


def _find_cause(output: dict[str, Any]) -> tuple[list[bool], str]:
    """The windows that the trouble comes from, and where it starts."""
    for values, reason in _list_suspects(output):
        windows = ~torch.isfinite(values).flatten(1).all(dim=1)
        if bool(windows.any()):
            return windows.tolist(), reason
    return [], TERM_FAULT


def _list_suspects(output: dict[str, Any]) -> Iterator[tuple[Tensor, str]]:
    """What may not be finite, causes first, and what to do about it."""
    pred: DistillationOutput = output["pred"]
    label: Tensor = output["label"]
    yield output["image"], IMAGE_FAULT
    yield label.reshape(len(label), -1), LABEL_FAULT
    if pred.teacher is not None:
        yield pred.teacher.logits, TEACHER_FAULT
    yield pred.student.logits, STUDENT_FAULT


def _has_foreground(logits: Tensor, label: Tensor) -> Tensor:
    """Whether any voxel is in a region, or in a class other than the background."""
    exclusive = label.shape[1] == 1 < logits.shape[1]
    return (logits.argmax(dim=1) > 0).any() if exclusive else (logits > 0).any()
