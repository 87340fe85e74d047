"""Interleaved rounds: every candidate in turn, so that whatever else happens hits all alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median

from docs.studies.benchmark.backends import Call, Candidate

SECONDS = 4.0  # for one candidate, as long as that is enough for the least rounds
ROUNDS = (5, 25)
SLOW_MS, SLOW_ROUNDS = 3000.0, 3
WARM_BELOW_MS = 1000.0  # a call shorter than that follows another of its own, which is not counted
BEATEN = 1.1  # a layout that much slower at the first call is not measured again


def time_rounds(
    calls: Mapping[Candidate, Call], *, tell: Callable[[str], None]
) -> dict[Candidate, list[float]]:
    """Return the milliseconds of each candidate, one for each of its rounds."""
    tried = {candidate: _time_first(candidate, call, tell) for candidate, call in calls.items()}
    first = {candidate: ms for candidate, ms in tried.items() if ms is not None}
    rounds = {c: 0 if _is_beaten(c, first) else plan_rounds(ms) for c, ms in first.items()}
    times: dict[Candidate, list[float]] = {c: [] if rounds[c] else [ms] for c, ms in first.items()}
    total = max(rounds.values(), default=0)
    for turn in range(1, total + 1):
        for candidate, milliseconds in first.items():
            if takes_part(turn, rounds=rounds[candidate], total=total):
                if milliseconds < WARM_BELOW_MS:
                    calls[candidate]()
                times[candidate].append(time_call(calls[candidate]))
    for candidate, taken in times.items():
        tell(f"{candidate.title}: {median(taken):.1f} ms, median of {len(taken)}")
    return times


def plan_rounds(milliseconds: float) -> int:
    """Return how often a call of that length is repeated."""
    if milliseconds > SLOW_MS:
        return SLOW_ROUNDS
    return min(max(int(500 * SECONDS / milliseconds), ROUNDS[0]), ROUNDS[1])


def takes_part(turn: int, *, rounds: int, total: int) -> bool:
    """Say whether a candidate of few rounds has its go at this turn, counted from one."""
    return turn * rounds // total > (turn - 1) * rounds // total


def time_call(call: Call) -> float:
    """Return the milliseconds of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def name_error(error: Exception) -> str:
    """Return the kind of an error and the start of its first line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"


def _time_first(candidate: Candidate, call: Call, tell: Callable[[str], None]) -> float | None:
    """Time a call after one that warms up, unless that alone takes long; nothing if it fails."""
    try:
        milliseconds = time_call(call)
        if milliseconds < SLOW_MS or candidate.backend == "torch_compile":
            milliseconds = time_call(call)
    except Exception as error:  # a compiler may be missing, memory may not suffice
        tell(f"{candidate.title}: not possible, {name_error(error)}")
        return None
    tell(f"{candidate.title}: {milliseconds:.0f} ms at first")
    return milliseconds


def _is_beaten(candidate: Candidate, first: Mapping[Candidate, float]) -> bool:
    rivals = [ms for other, ms in first.items() if other.row == candidate.row]
    return first[candidate] > BEATEN * min(rivals)
