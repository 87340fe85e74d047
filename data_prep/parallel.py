"""Work on many cases at once, with a progress bar, leaving no process behind."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

from data_prep.errors import DatasetError

MOST_WORKERS = 61  # that Windows can wait for

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_parallel(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    title: str,
    workers: int | None = None,
    threads: bool = False,
) -> list[Result]:
    """Return `function(item)` of all items, in their order; by default one process per core.

    `function` and what it takes and gives must pickle, unless `threads` do the work, as is enough
    for what waits for disks or hashes. A bar with the time left is drawn on stderr if a person is
    watching.
    """
    if workers is not None and workers < 1:
        raise DatasetError(f"{workers} workers: expected at least 1")
    count = min(workers or count_cores(), len(items), MOST_WORKERS)
    if count <= 1:
        return list(_watch(map(function, items), len(items), title))
    try:
        with _start_pool(count, threads) as pool:
            return list(_watch(pool.map(function, items), len(items), title))
    except BrokenProcessPool as error:
        raise DatasetError(
            "a worker was killed, most likely for lack of memory; run the same command again to "
            "resume, with --workers 1 for the least memory"
        ) from error


def _start_pool(count: int, threads: bool) -> Executor:
    if threads:
        return ThreadPoolExecutor(count)
    return ProcessPoolExecutor(count, get_context("spawn"), _end_with_parent)


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def draw_progress(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """Draw a bar with the time left on stderr, if a person is watching; yield what moves it on.

    What moves it on takes a new title, or none to keep the old one.
    """
    from rich import progress as bars  # noqa: PLC0415  (dear, and commands start without it)
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("left"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        transient=True,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(title, total=total)

        def advance(title: str = "") -> None:
            bar.update(task, advance=1, description=title or None)

        yield advance


def _watch(results: Iterable[Result], total: int, title: str) -> Iterator[Result]:
    with draw_progress(title, total) as advance:
        for result in results:
            yield result
            advance("")


def _end_with_parent() -> None:
    """Leave no worker behind when the main process is killed, and Ctrl-C to that process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
