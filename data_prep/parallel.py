"""Work on many cases at once, with a progress bar, leaving no process behind."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    title: str,
    workers: int | None = None,
) -> list[Result]:
    """Return `function(item)` of all items, in their order; by default one process per core.

    `function` and what it takes and gives must pickle. A bar with the time left is drawn on stderr
    if a person is watching.
    """
    count = min(workers or count_cores(), len(items))
    if count <= 1:
        return list(_watch(map(function, items), len(items), title))
    with ProcessPoolExecutor(count, get_context("spawn"), _end_with_parent) as pool:
        return list(_watch(pool.map(function, items), len(items), title))


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _watch(results: Iterable[Result], total: int, title: str) -> Iterator[Result]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
        yield from progress.track(results, total=total, description=title)


def _end_with_parent() -> None:
    """Leave no worker behind when the main process is killed."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
