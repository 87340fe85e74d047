"""How long the stages of a case take."""

import time
from collections.abc import Mapping


class Stopwatch:
    """Seconds by stage; each begins where the one before it ended."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = dict(seconds)
        self._last = time.perf_counter()

    def note(self, stage: str) -> None:
        """End a stage."""
        self.add({stage: time.perf_counter() - self._last})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Take over what was measured elsewhere until now."""
        self.seconds |= seconds
        self._last = time.perf_counter()
