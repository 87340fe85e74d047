"""Interleaved rounds: every call in turn, so that whatever else happens hits all alike."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import Any, TypeVar

import torch

Call = Callable[[], object]
Key = TypeVar("Key", bound=Hashable)
Tell = Callable[[str], None]
WARM_UPS = {"cpu": 1, "cuda": 3}
SECONDS = 2.0  # for one candidate, as long as that is enough for the least rounds
ROUNDS = (5, 25)
SLOW_MS, SLOW_ROUNDS = 3000.0, 3
BEATEN = 1.5  # a layout that much slower in the first round is not measured again


def time_calls(
    calls: Mapping[Key, Call],
    *,
    tell: Tell,
    row_of: Callable[[Key], Hashable] = lambda key: key,
    device: str = "cpu",
) -> dict[Key, list[float]]:
    """Return the milliseconds of each call that works, one for each of its rounds.

    After the first round only those go on that are about as fast as the fastest of their row, say
    of the layouts of one network; the others are left out.
    """
    times, rows = {}, defaultdict(list)
    for key, call in calls.items():
        first = try_call(key, lambda call=call: _warm_up(call, device), tell=tell)
        if first is not None:
            times[key] = [first]
            rows[row_of(key)].append(first)
    times = {key: ms for key, ms in times.items() if ms[0] <= BEATEN * min(rows[row_of(key)])}
    rounds = {key: plan_rounds(ms[0]) - 1 for key, ms in times.items()}
    total = max(rounds.values(), default=0)
    for turn in range(1, total + 1):
        for key, taken in times.items():
            if turn * rounds[key] // total > (turn - 1) * rounds[key] // total:
                taken.append(time_call(calls[key], device))
    for key, taken in times.items():
        tell(f"{key}: {median(taken):.2f} ms, median of {len(taken)}")
    return times


def try_call(key: object, call: Callable[[], Any], *, tell: Tell) -> Any:
    """Call, and tell why it fails where it does: a compiler may be missing, or memory."""
    try:
        return call()
    except Exception as error:
        line = str(error).strip().partition("\n")[0][:160]
        tell(f"{key}: not possible, {type(error).__name__}: {line}")
        return None


def plan_rounds(milliseconds: float) -> int:
    """Return how often a call of that length is timed."""
    if milliseconds > SLOW_MS:
        return SLOW_ROUNDS
    return min(max(int(1000 * SECONDS / milliseconds), ROUNDS[0]), ROUNDS[1])


def time_call(call: Call, device: str = "cpu") -> float:
    """Return the milliseconds of one call, those of the device where it has a clock."""
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end))
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def is_plain(row: Mapping[str, Any]) -> bool:
    """Say whether a row is torch fp32, in which every network is measured."""
    return bool((row["backend"], row["precision"]) == ("torch", "fp32"))


def _warm_up(call: Call, device: str) -> float:
    for _ in range(WARM_UPS[device]):
        call()
    return time_call(call, device)
