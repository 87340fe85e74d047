"""What the teacher says of stored views, asked once and replayed in every epoch and every arm."""

import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from monai_kd.data.logit_store import Keep, LogitStore, ViewBankError, hash_tensor
from monai_kd.data.view_dataset import ViewDataset
from monai_kd.data.view_fidelity import SUMMARY, measure_fidelity, sum_up_fidelity
from monai_kd.data.view_index import ViewIndex, list_images

ABANDONED_SECONDS = 3600


class ViewBank:
    """The teacher's logits of every view of a `ViewDataset`, on disk.

    They lie under the hash of the teacher and of how they are kept, each under the hash of the
    image that the teacher saw: with another teacher, transform, seed or view they are not found.
    A teacher is known by its class, its weights and its answer to an image of noise.

    Args:
        dataset: whose `views` are stored.
        teacher: maps the images `(B, C, D, H, W)` of a view's windows to logits, or to a list or
            tuple that starts with them; its weights may be loaded later, but before `fill`. One
            with taps is refused, for what they tell is not stored.
        folder: for all banks; each teacher has its own within.
        keep: `float16`, or `uint8` at a quarter of float32's size, see `LogitStore`.
        temperature: of `uint8`; the larger, the further and the coarser.
        device: where the teacher runs.
    """

    def __init__(
        self,
        dataset: ViewDataset,
        *,
        teacher: nn.Module,
        folder: str | os.PathLike[str],
        keep: Keep = "float16",
        temperature: float = 2.0,
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
        self.keep: Keep = keep
        self.temperature = temperature
        self.device = torch.device(device)
        LogitStore(self.folder, keep, temperature)  # stops at once where it cannot keep so

    def open_store(self) -> LogitStore:
        """The store of the teacher as it is now."""
        kept = f"{self.keep} {self.temperature if self.keep == 'uint8' else ''}"
        noise = torch.randn(self._replay(0, 0)[0].shape, generator=torch.Generator().manual_seed(0))
        known = hash_network(self.teacher, answer=self._ask_teacher([noise]))
        digest = blake2b(f"{known} {kept}".encode(), digest_size=12)
        return LogitStore(self.folder / digest.hexdigest(), self.keep, self.temperature)

    def fill(self, *, console: Console | None = None) -> Path:
        """Ask the teacher of every view that is missing; return the folder, with `fidelity.json`.

        Tells first how many views are missing and how many gigabytes they will take. Several
        processes may fill at once; a filling that was interrupted goes on.
        """
        console = console or Console(highlight=False, soft_wrap=True)
        store = self.open_store()
        with _explain_full_disk(store.folder):
            self._fill(store, console)
        return store.folder

    def _fill(self, store: LogitStore, console: Console) -> None:
        index = ViewIndex(store.folder, self.dataset)
        missing = list(self._list_missing(store, index))
        if not missing:
            console.print(f"view bank: all {self._count_views()} views are in {store.folder}")
            if not (store.folder / SUMMARY).exists():  # a filling was killed at the very end
                sum_up_fidelity(store)
            return
        started = time.perf_counter()
        _sweep(store.folder)
        size = self._add(missing[0], store, index)
        _check_room(size * len(missing), store.folder)
        console.print(
            f"view bank: {len(missing)} of {self._count_views()} views are missing, about "
            f"{size * len(missing) / 1e9:.2g} GB in {store.folder}, "
            f"{_tell_time(len(missing) * (time.perf_counter() - started))} to fill"
        )
        for view in self._show_progress(missing[1:], console):
            self._add(view, store, index)
        fidelity = sum_up_fidelity(store)
        console.print(
            f"view bank: filled in {_tell_time(time.perf_counter() - started)}; probabilities are "
            f"off by {fidelity['largest_difference']:.1g} at most, and a share of "
            f"{fidelity['flipped_share']:.1g} of the voxels changes its mask"
        )

    def _count_views(self) -> int:
        return len(self.dataset) * self.dataset.views

    def _list_missing(self, store: LogitStore, index: ViewIndex) -> Iterator[tuple[int, int]]:
        """Record and view; only one that the index does not know is replayed to find out."""
        present = {path.stem for path in store.folder.glob("*.b2nd")}
        for record in range(len(self.dataset)):
            for view in range(self.dataset.views):
                known = index.find(record, view)
                if known is None and present:  # in an empty bank nothing is found by replaying
                    known = [hash_tensor(image) for image in self._replay(record, view)]
                    index.add(record, view, known)
                if known is None or not present.issuperset(known):
                    yield record, view

    def _replay(self, record: int, view: int) -> list[Tensor]:
        return list_images(self.dataset.replay(record, view))

    def _add(self, missing: tuple[int, int], store: LogitStore, index: ViewIndex) -> int:
        """Store the logits of one view; return how many bytes they take."""
        images = self._replay(*missing)
        answer = self._ask_teacher(images)
        if answer.isnan().any():
            case = self.dataset.data[missing[0]]["case"]
            raise ViewBankError(
                f"the teacher answers view {missing[1]} of case {case} with NaN: look at that "
                "case's image, and at the teacher's weights"
            )
        paths = [store.find(image) for image in images]
        for path, logits in zip(paths, answer, strict=True):
            if not path.exists():
                store.write(path, logits)
                measure_fidelity(store, path.stem, live=logits, stored=store.read(path))
        index.add(*missing, [path.stem for path in paths])
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

    def _show_progress(
        self, missing: list[tuple[int, int]], console: Console
    ) -> Iterator[tuple[int, int]]:
        yield from track(
            missing,
            description="view bank",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )


def hash_network(network: nn.Module, *, answer: Tensor) -> str:
    """Hash of class, weights, and 16 numbers of an answer; settings and code show in the latter.

    They are rounded to bfloat16, because sums differ in their last bits with the number of threads
    and the device. Where one falls otherwise nonetheless, the bank is filled anew.
    """
    digest = blake2b(f"{type(network).__module__}.{type(network).__qualname__}".encode())
    for name, values in network.state_dict().items():
        known = isinstance(values, Tensor)
        digest.update(f"{name} {hash_tensor(_widen(values)) if known else values}".encode())
    spread = torch.linspace(0, answer.numel() - 1, 16).long()
    digest.update(hash_tensor(answer.flatten()[spread].bfloat16().float()).encode())
    return digest.hexdigest()


def _widen(values: Tensor) -> Tensor:
    """NumPy has no bfloat16."""
    return values.float() if values.dtype == torch.bfloat16 else values


def _check_taps(teacher: nn.Module) -> None:
    if taps := list(getattr(teacher, "taps", ())):
        raise ViewBankError(
            f"the loss reads the teacher's {', '.join(taps)}, and a view bank keeps logits alone: "
            "leave out either the bank or the pathways that compare features"
        )


def _tell_time(seconds: float) -> str:
    """Hours, minutes and seconds, as 0:01:30."""
    return str(timedelta(seconds=round(seconds)))


def _check_room(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ViewBankError(
            f"the view bank needs about {needed / 1e9:.3g} GB and {folder} has {free / 1e9:.3g} GB "
            "free: make room, store fewer views, or keep them as uint8"
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
