"""What was learnt, epoch by epoch."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import Tensor, nn

from monai_kd.distillation import DistillationLoss

Score = dict[str, float | None]


class History:
    """Keeps one record an epoch: mean of each loss term, and the score where it was validated.

    A record is `{"epoch", "loss": {"total", <term>...}, "score": {<output>..., "mean"} | None,
    "seconds"}`. The terms are heard through forward hooks, so a loss need not store anything. A
    mean is over the iterations in which the term was computed; an epoch without it lacks its name.

    Args:
        loss: whose terms are heard.
        validator: whose key metric is the score.
        outputs: what it has a score for each of.
        metric: the score's name for people, as Dice.
    """

    def __init__(
        self,
        loss: DistillationLoss,
        *,
        validator: Evaluator,
        outputs: Sequence[str],
        metric: str = "Dice",
    ) -> None:
        self.loss = loss
        self.validator = validator
        self.outputs = tuple(outputs)
        self.metric = metric
        self.records: list[dict[str, Any]] = []
        self.latest: dict[str, Tensor] = {}  # terms of the present iteration
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer and to the terms of its loss."""
        for name, term in self.loss.terms.named_children():
            term.register_forward_hook(self._hear(name))
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.ITERATION_STARTED, self._start_iteration)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish_epoch)

    def running_loss(self) -> dict[str, float]:
        """Mean of each term over the epoch so far."""
        return {name: (sum_ / self._counts[name]).item() for name, sum_ in self._sums.items()}

    def last_score(self) -> Score | None:
        """The score by output at the latest validation, None before the first."""
        return next((r["score"] for r in reversed(self.records) if r["score"] is not None), None)

    def _hear(self, name: str) -> Any:
        def hook(_term: nn.Module, _inputs: Any, value: Tensor) -> None:
            self.latest[name] = value.detach()
            self._add(name, value)

        return hook

    def _add(self, name: str, value: Tensor) -> None:
        """Add without waiting for the device."""
        self._sums[name] = self._sums.get(name, 0) + value.detach()
        self._counts[name] += 1

    def _start_epoch(self, _engine: Engine) -> None:
        self._sums, self._counts = {}, Counter()
        self._started = time.perf_counter()

    def _start_iteration(self, _engine: Engine) -> None:
        self.latest = {}

    def _add_iteration(self, engine: Engine) -> None:
        self._add("total", engine.state.output["loss"])

    def _finish_epoch(self, engine: Engine) -> None:
        loss = self.running_loss()
        self.records.append(
            {
                "epoch": engine.state.epoch,
                "loss": loss,
                "score": self._read_score(engine.state.epoch),
                "seconds": time.perf_counter() - self._started,
            }
        )

    def _read_score(self, epoch: int) -> Score | None:
        if self.validator.state.epoch != epoch:
            return None
        return read_score(self.validator, outputs=self.outputs)


def stack_outputs(*keys: str) -> Callable[[Sequence[Mapping[str, Tensor]]], tuple[Tensor, ...]]:
    """An `output_transform` for metrics of whole images: one batch of each key.

    MONAI's `from_engine` gives lists, of which ignite's `Accuracy` takes a scalar label for binary.
    """

    def stack(items: Sequence[Mapping[str, Tensor]]) -> tuple[Tensor, ...]:
        return tuple(torch.stack([torch.as_tensor(item[key]) for item in items]) for key in keys)

    return stack


def read_score(evaluator: Evaluator, *, outputs: Sequence[str]) -> Score:
    """The score of each output, and the mean; the mean alone where the metric has no details."""
    name = evaluator.state.key_metric_name
    details = evaluator.state.metric_details.get(name)
    if details is None:
        return {"mean": float(evaluator.state.metrics[name])}
    return summarise_scores(details, outputs=outputs)


def summarise_scores(details: Tensor, *, outputs: Sequence[str]) -> Score:
    """Mean score per output over the cases of `details` `(case, output)`, and the mean of those.

    An output that a case's truth lacks is NaN there and does not count; one that no case has is
    None.
    """
    per_output = torch.nanmean(details.float(), dim=0)
    values = {**dict(zip(outputs, per_output, strict=True)), "mean": torch.nanmean(per_output)}
    return {name: None if value.isnan() else value.item() for name, value in values.items()}


def find_best_score(records: Sequence[Mapping[str, Any]]) -> float | None:
    """The best validated mean score of a history's records, None where there is none."""
    means = [r["score"]["mean"] for r in records if r["score"] and r["score"]["mean"] is not None]
    return max(means, default=None)
