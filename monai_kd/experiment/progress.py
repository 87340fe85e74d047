"""What a person sees while a network learns."""

from datetime import timedelta
from typing import Any

from ignite.engine import Engine, Events, State
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from monai_kd.experiment.history import History, Score, find_best_score


class ProgressDisplay:
    """A bar with epoch, loss terms, score by output and time left; plain lines off a terminal."""

    def __init__(self, title: str, *, history: History, console: Console | None = None) -> None:
        self.title = title
        self.history = history
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=None, facts="")

    def attach(self, engine: Engine) -> None:
        """Show progress from start to end, and take the bar away when training fails."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish_epoch)
        engine.add_event_handler(Events.COMPLETED, self._stop)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        state = engine.state
        if 0 < state.epoch < state.max_epochs:
            self.console.print(f"{self.title}: resumes after epoch {state.epoch}")
        total = state.max_epochs * state.epoch_length
        self._bar.update(self._task, total=total, completed=state.iteration)
        self._bar.start()

    def _advance(self, engine: Engine) -> None:
        state = engine.state
        facts = self._describe(state, self.history.running_loss(), self.history.last_score())
        self._bar.update(self._task, completed=state.iteration, facts=facts)

    def _finish_epoch(self, engine: Engine) -> None:
        if not self.console.is_terminal:
            state, record = engine.state, self.history.records[-1]
            facts = self._describe(state, record["loss"], record["score"])
            left = _mean_seconds(self.history.records) * (state.max_epochs - state.epoch)
            self.console.print(f"{self.title} {facts}  {timedelta(seconds=round(left))} left")

    def _describe(self, state: State, loss: dict[str, float], score: Score | None) -> str:
        place = (state.epoch, state.max_epochs)
        return describe(place, loss, score=score, metric=self.history.metric)

    def _stop(self, engine: Engine) -> None:
        self._bar.stop()
        records = self.history.records
        minutes = sum(record["seconds"] for record in records) / 60
        score = find_best_score(records)
        best = "" if score is None else f", best validation {self.history.metric} {score:.3f}"
        epochs = engine.state.max_epochs
        self.console.print(f"{self.title}: {epochs} epochs in {minutes:.1f} minutes{best}")

    def _fail(self, _engine: Engine, error: BaseException) -> None:
        self._bar.stop()
        raise error


def describe(
    place: tuple[int, int], loss: dict[str, float], *, score: Score | None, metric: str = "Dice"
) -> str:
    """One line: `epoch 3/40  loss 0.81 (supervised 0.62, boundary 0.19)  Dice left 0.41`."""
    epoch, epochs = place
    terms = ", ".join(f"{name} {value:.3f}" for name, value in loss.items() if name != "total")
    line = f"epoch {epoch:>{len(str(epochs))}}/{epochs}  loss {loss.get('total', 0):.3f} ({terms})"
    if score is None:
        return line
    shown = (f"{name} {'-' if s is None else format(s, '.3f')}" for name, s in score.items())
    return f"{line}  {metric} {' '.join(shown)}"


def _mean_seconds(records: list[dict[str, Any]]) -> float:
    recent = records[-5:]
    return sum(float(record["seconds"]) for record in recent) / len(recent)
