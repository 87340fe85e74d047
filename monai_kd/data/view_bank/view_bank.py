"""What the teacher says of stored views, asked once and replayed in every epoch and every arm."""

import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from monai_kd.data.view_bank.hashing import hash_network
from monai_kd.data.view_bank.logit_store import LogitStore, ViewBankError
from monai_kd.data.view_dataset import ViewDataset

ABANDONED_SECONDS = 3600


class ViewBank:
    """The teacher's logits of every view of a `ViewDataset`, on disk.

    They lie under the hash of the teacher, each under the hash of the image that it saw: with
    another teacher, transform, seed or view they are not found.
    A teacher is known by its class, its weights and its answer to an image of noise.

    Args:
        dataset: whose `views` are stored.
        teacher: maps the images `(B, C, D, H, W)` of a view's windows to logits, or to a list or
            tuple that starts with them; its weights may be loaded later, but before `fill`. One
            with taps is refused, for what they tell is not stored.
        folder: for all banks; each teacher has its own within.
        device: where the teacher runs.
    """

    def __init__(
        self,
        dataset: ViewDataset,
        *,
        teacher: nn.Module,
        folder: str | os.PathLike[str],
        device: torch.device | str = "cpu",
    ) -> None:
        if dataset.views < 1:
            raise ViewBankError(
                "the data set shows ever new views, of which none comes back: set views to 8, say"
            )
        _check_taps(teacher)
        self.dataset = dataset
        self.teacher = teacher
        self.folder = Path(folder)
        self.device = torch.device(device)

    def open_store(self) -> LogitStore:
        """The store of the teacher as it is now."""
        noise = torch.randn(self._replay(0, 0)[0].shape, generator=torch.Generator().manual_seed(0))
        known = hash_network(self.teacher, answer=self._ask_teacher([noise]))
        return LogitStore(self.folder / known)

    def fill(self, *, console: Console | None = None) -> Path:
        """Ask the teacher of every view that is missing; return the folder.

        Prints first how many views are missing and how many gigabytes they will take. Several
        processes may fill at once; a filling that was interrupted goes on.
        """
        console = console or Console(highlight=False, soft_wrap=True)
        store = self.open_store()
        with _explain_full_disk(store.folder):
            self._fill(store, console)
        return store.folder

    def _fill(self, store: LogitStore, console: Console) -> None:
        missing = list(self._list_missing(store))
        views = len(self.dataset) * self.dataset.views
        if not missing:
            console.print(f"view bank: all {views} views are in {store.folder}")
            return
        started = time.perf_counter()
        _sweep(store.folder)
        size = self._add(*missing[0], store)
        _check_room(size * len(missing), store.folder)
        console.print(
            f"view bank: {len(missing)} of {views} views are missing, about "
            f"{size * len(missing) / 1e9:.2g} GB in {store.folder}, "
            f"{_show_time(len(missing) * (time.perf_counter() - started))} to fill"
        )
        hidden = not console.is_terminal
        for view in track(
            missing[1:], "view bank", console=console, transient=True, disable=hidden
        ):
            self._add(*view, store)
        console.print(f"view bank: filled in {_show_time(time.perf_counter() - started)}")

    def _list_missing(self, store: LogitStore) -> Iterator[tuple[int, int]]:
        """Record and view; in an empty bank nothing need be replayed to find out."""
        empty = not any(store.folder.glob("*.b2nd"))
        for record in range(len(self.dataset)):
            for view in range(self.dataset.views):
                if empty or not all(store.find(x).exists() for x in self._replay(record, view)):
                    yield record, view

    def _replay(self, record: int, view: int) -> list[Tensor]:
        """The images of a view, which is one window or a list of them."""
        item = self.dataset.replay(record, view)
        return [window["image"] for window in (item if isinstance(item, list) else [item])]

    def _add(self, record: int, view: int, store: LogitStore) -> int:
        """Store the logits of one view; return how many bytes they take."""
        images = self._replay(record, view)
        answer = self._ask_teacher(images)
        if answer.isnan().any():
            raise ViewBankError(
                f"the teacher answers view {view} of case {self.dataset.data[record]['case']} with "
                "NaN: look at that case's image, and at the teacher's weights"
            )
        paths = [store.find(image) for image in images]
        for path, logits in zip(paths, answer, strict=True):
            if not path.exists():
                store.write(path, logits)
        return sum(path.stat().st_size for path in paths)

    @torch.no_grad()
    def _ask_teacher(self, images: Sequence[Tensor]) -> Tensor:
        """Of all windows at once: on a CPU, some convolutions take five times as long for one."""
        self.teacher.to(self.device).eval()
        batch = torch.stack([torch.as_tensor(image) for image in images])
        answer = self.teacher(batch.to(self.device))
        while isinstance(answer, tuple | list) and answer:  # levels, or a NetworkOutput
            answer = answer[0]
        if not isinstance(answer, Tensor):
            raise ViewBankError(
                f"the teacher answered with {type(answer).__name__}, expected logits, or a list "
                "or tuple that starts with them: wrap it in a module that gives one of these"
            )
        return answer.float().cpu()


def _check_taps(teacher: nn.Module) -> None:
    if taps := list(getattr(teacher, "taps", ())):
        raise ViewBankError(
            f"the loss reads the teacher's {', '.join(taps)}, and a view bank keeps logits alone: "
            "leave out either the bank or the pathways that compare features"
        )


def _show_time(seconds: float) -> str:
    """Hours, minutes and seconds, as 0:01:30."""
    return str(timedelta(seconds=round(seconds)))


def _check_room(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ViewBankError(
            f"the view bank needs about {needed / 1e9:.3g} GB and {folder} has {free / 1e9:.3g} GB "
            "free: make room, or store fewer views"
        )


@contextmanager
def _explain_full_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ViewBankError(
            f"there is no room left for {folder}: make room and start again; what is stored stays"
        ) from error


def _sweep(folder: Path) -> None:
    """Remove what a killed filling left under temporary names; another may be at work now."""
    for path in folder.glob(".*-*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
