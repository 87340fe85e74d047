"""Views that can be seen again: a window and its augmentation are a function of a name."""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from torch.utils.data import Dataset

from monai_kd.errors import UserError

Item = Mapping[str, Any] | list[Mapping[str, Any]]
STRIDE = 1_000_003
"""From one showing of a record in an epoch to the next. With ever new views none is met again in
as many epochs; with `views` of them, which this prime divides not, an epoch shows each once before
one comes again.
"""


class ViewDataset(Dataset[Item]):
    """Item i is `transform(record i)`, its random state drawn from `(seed, case, view)` alone.

    So the same view is the same to the last bit, whatever the number of workers and threads, the
    order, or the epoch at which a run was resumed. An item `(i, n)` is the n-th further view of
    record i in this epoch, for a sampler that shows a record more than once.

    Args:
        data: records, each with a `case` that no other one has.
        transform: what makes a view of a record, random transforms included.
        seed: of all views.
        views: how many views a record has; they come in turn, epoch by epoch. 0: ever new ones.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[..., Any] | Sequence[Callable[..., Any]],
        *,
        seed: int,
        views: int = 0,
    ) -> None:
        if views < 0:
            raise UserError(f"views is {views}, expected 0 (ever new ones) or more")
        _check_cases(data)
        self.data = data
        self.transform = transform if isinstance(transform, Compose) else Compose(transform)
        self.seed = seed
        self.views = views
        # shared, because workers may live from epoch to epoch
        self._epoch = torch.ones((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int | tuple[int, int]) -> Item:
        """The view of this epoch; `(index, n)`: the n-th further one."""
        record, showing = index if isinstance(index, tuple) else (index, 0)
        return self.replay(record, self.choose_view(showing))

    def start_epoch(self, epoch: int) -> None:
        """From now on show the views of this epoch; the first is 1."""
        self._epoch.fill_(epoch)

    def choose_view(self, showing: int = 0) -> int:
        """The number of the view that this epoch shows of each record."""
        view = int(self._epoch) - 1 + STRIDE * showing
        return view % self.views if self.views else view

    def replay(self, case_index: int, view: int) -> Item:
        """One view of one record; it draws from no random state but its own, and leaves none."""
        record = self.data[case_index]
        name = f"{self.seed}/{record['case']}/{view}"
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        with _random_state(seed), _one_thread():
            self.transform.set_random_state(seed=seed)
            item: Item = self.transform(record)
        return item


def _check_cases(data: Sequence[Mapping[str, Any]]) -> None:
    """Views are drawn by the name of the case."""
    seen = set()
    for number, record in enumerate(data):
        case = record.get("case")
        if case is None or case in seen:
            found = "has no 'case'" if case is None else f"is case {case!r} once more"
            raise UserError(f"record {number} {found}: every record needs a name of its own")
        seen.add(case)


@contextmanager
def _random_state(seed: int) -> Iterator[None]:
    """Seed Python, NumPy and torch, for transforms that draw from them; undo it afterwards."""
    python, legacy = random.getstate(), np.random.get_state()
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed every GPU too
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
        random.setstate(python)
        np.random.set_state(legacy)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Means and convolutions round otherwise with each number of threads; a worker has one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
