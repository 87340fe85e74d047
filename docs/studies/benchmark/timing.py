"""Interleaved rounds: every call in turn, so that whatever else happens hits all alike."""

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median
from typing import Any, TypeVar

from docs.studies.benchmark.backends import Call, Candidate

Key = TypeVar("Key", bound=Hashable)
Tell = Callable[[str], None]
SECONDS = 2.0  # for one candidate, as long as that is enough for the least rounds
ROUNDS = (5, 25)
SLOW_MS, SLOW_ROUNDS = 3000.0, 3
BEATEN = 1.5  # a layout that much slower in the first round is not measured again


def time_calls(
    calls: Mapping[Key, Call], *, tell: Tell, row_of: Callable[[Key], Hashable] = lambda key: key
) -> dict[Key, list[float]]:
    """Return the milliseconds of each call that works, one for each of its rounds.

    Each is called once for nothing. After the first round only those go on that are about as fast
    as the fastest of their row, say of the layouts of one network; the others are left out.
    """
    works = [key for key, call in calls.items() if does_work(key, call, tell=tell)]
    times = {key: [time_call(calls[key])] for key in works}
    rows: dict[Hashable, list[float]] = defaultdict(list)
    for key, (first,) in times.items():
        rows[row_of(key)].append(first)
    times = {key: ms for key, ms in times.items() if ms[0] <= BEATEN * min(rows[row_of(key)])}
    rounds = {key: plan_rounds(ms[0]) - 1 for key, ms in times.items()}
    total = max(rounds.values(), default=0)
    for turn in range(1, total + 1):
        for key, taken in times.items():
            if takes_part(turn, rounds=rounds[key], total=total):
                taken.append(time_call(calls[key]))
    for key, taken in times.items():
        tell(f"{key}: {median(taken):.1f} ms, median of {len(taken)}")
    return times


def does_work(key: object, call: Call, *, tell: Tell) -> bool:
    """Call once, which warms up, and tell why it fails where it does."""
    try:
        call()
    except Exception as error:  # a compiler may be missing, memory may not suffice
        tell_failure(key, error, tell=tell)
        return False
    return True


def plan_rounds(milliseconds: float) -> int:
    """Return how often a call of that length is timed."""
    if milliseconds > SLOW_MS:
        return SLOW_ROUNDS
    return min(max(int(1000 * SECONDS / milliseconds), ROUNDS[0]), ROUNDS[1])


def takes_part(turn: int, *, rounds: int, total: int) -> bool:
    """Say whether a candidate of few rounds has its go at this turn, counted from one."""
    return turn * rounds // total > (turn - 1) * rounds // total


def time_call(call: Call) -> float:
    """Return the milliseconds of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def tell_failure(key: object, error: Exception, *, tell: Tell) -> None:
    """Tell the kind of an error and the start of its first line."""
    line = str(error).strip().partition("\n")[0][:160]
    tell(f"{key}: not possible, {type(error).__name__}: {line}")


def make_rows(times: Mapping[Candidate, Sequence[float]]) -> list[dict[str, Any]]:
    """Return a row for the best layout of each network, runtime and precision."""
    layouts: dict[tuple[str, str, str, int], dict[str, float]] = defaultdict(dict)
    for candidate, taken in times.items():
        layouts[candidate.row][candidate.layout] = round(median(taken), 3)
    rows = []
    for key, medians in layouts.items():
        row = dict(zip(("network", "backend", "precision", "window"), key, strict=True))
        layout = min(medians, key=medians.__getitem__)
        rows.append(row | {"ms": medians[layout], "layout": layout, "ms_by_layout": medians})
    return rows


def is_plain(row: Mapping[str, Any]) -> bool:
    """Say whether a row is torch fp32, in which every network is measured."""
    return bool((row["backend"], row["precision"]) == ("torch", "fp32"))
