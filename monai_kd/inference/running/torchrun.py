"""What torchrun says to each of the processes that it starts, and what it must not hear."""

import os

from monai_kd.inference.running.lock import WHOLE, Shard


def shard_of_torchrun() -> Shard:
    """The part of this process where torchrun started it as one of many, else the whole."""
    return Shard(_read("RANK", 0) + 1, _read("WORLD_SIZE", 1)) if _is_at_work() else WHOLE


def processes_here() -> int:
    """How many processes share this machine."""
    return max(1, _read("LOCAL_WORLD_SIZE", 1)) if _is_at_work() else 1


def code_for_torchrun(code: int) -> int:
    """The exit code, but 0 for cases left out: torchrun would end the other processes for it."""
    return 0 if _is_at_work() and code in (1, 3) else code


def _is_at_work() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _read(name: str, default: int) -> int:
    told = os.environ.get(name, "")
    return int(told) if told.isdigit() else default
