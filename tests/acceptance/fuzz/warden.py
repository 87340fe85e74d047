"""A worker in a process of its own: asked, timed, weighed, and killed where it must be."""

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.watching import read_resident

LOOK = 0.01  # seconds between two looks at the worker's memory
TASKS = 150  # of one worker, lest the memory of many be taken for that of one
PATIENCE = 6  # times the limit, until a new worker has loaded all that it needs


@dataclass(frozen=True)
class Answer:
    """How one task ended: `fault` is hang, memory or crash where the worker did not answer.

    `seconds` are those of the clock, on a machine that does nothing else.
    """

    seconds: float
    most_bytes: int
    code: int | None = None
    said: str = ""
    errors: str = ""
    trace: str = ""
    fault: str = ""


class Warden:
    """Keeps one worker at work; starts another where it has gone."""

    def __init__(self, log: Path, *, seconds: float, most_bytes: int) -> None:
        self.seconds, self.most_bytes = seconds, most_bytes
        self._log = log.open("wb")
        self._worker: subprocess.Popen[str] | None = None
        self._tasks = 0

    def ask(self, arguments: Sequence[str]) -> Answer:
        """Let the worker run predict; kill it where that takes too long or too much."""
        if self._worker is None or self._tasks >= TASKS:
            self.close()
            self._start()
        self._tasks += 1
        return self._send(arguments, self.seconds)

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
        self._worker = None

    def _start(self) -> None:
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.fuzz.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._tasks = 0
        self._send(["predict", "--help"], PATIENCE * self.seconds)

    def _send(self, arguments: Sequence[str], limit: float) -> Answer:
        worker = self._worker
        assert worker is not None and worker.stdin is not None and worker.stdout is not None  # noqa: PT018
        worker.stdin.write(json.dumps(list(arguments)) + "\n")
        worker.stdin.flush()
        began, most = time.monotonic(), 0
        with selectors.DefaultSelector() as selector:
            selector.register(worker.stdout, selectors.EVENT_READ)
            while not selector.select(LOOK):
                most = max(most, read_resident(worker.pid))
                seconds = time.monotonic() - began
                if most > self.most_bytes or seconds > limit:
                    self.close()
                    fault = "memory" if most > self.most_bytes else "hang"
                    return Answer(seconds, most, fault=fault)
        seconds, line = time.monotonic() - began, worker.stdout.readline()
        if not line:
            self._worker = None
            return Answer(seconds, most, code=worker.wait(), fault="crash")
        return Answer(seconds, most, **json.loads(line))
