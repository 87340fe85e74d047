"""The cases of one batch shared among several runs, as a person or torchrun starts them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from monai_kd.inference.requests.requests import Request


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `count` runs that share the cases of a batch."""

    number: int
    count: int

    def take(self, requests: Sequence[Request]) -> list[Request]:
        """Every n-th request of a stable order: all shards together have each case once."""
        return list(requests[self.number - 1 :: self.count])


WHOLE = Shard(1, 1)


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
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else default
