"""Which images each stored view has, so that a full bank is known without replaying its views."""

import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from monai_kd.data.logit_store import hash_tensor
from monai_kd.data.named_lines import append_line, read_lines
from monai_kd.data.view_dataset import ViewDataset

SUFFIX = ".views.jsonl"


class ViewIndex:
    """A memory of what was replayed: one line for each view, with the names of its images.

    A bank's folder has one such file for each set of transforms, named by what they make of the
    first record; a view is named by seed, case, number, and size and time of the case's files. It
    only saves looking: logits are found by their image alone, and where the index errs, as after a
    change that the first record does not show, an image is missed and the index is forgotten.
    """

    def __init__(self, folder: Path, dataset: ViewDataset) -> None:
        self.path = folder / f"{_name_transforms(dataset)}{SUFFIX}"
        self.dataset = dataset
        self._stamps = [_name_files(record) for record in dataset.data]
        self._known = read_lines(self.path)

    def find(self, record: int, view: int) -> list[str] | None:
        """The names of a view's images, None where it was never replayed."""
        return self._known.get(self._name_view(record, view))

    def add(self, record: int, view: int, images: Sequence[str]) -> None:
        """Remember the names of a view's images."""
        name = self._name_view(record, view)
        if self._known.get(name) != list(images):
            self._known[name] = list(images)
            append_line(self.path, name, images)

    def _name_view(self, record: int, view: int) -> str:
        case = self.dataset.data[record]["case"]
        return f"{self.dataset.seed}/{case}/{view}/{self._stamps[record]}"


def forget_views(folder: Path) -> None:
    """Have the next filling replay every view."""
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)


def list_images(item: Any) -> list[Any]:
    """The images of a view, which is one window or a list of them."""
    return [window["image"] for window in (item if isinstance(item, list) else [item])]


def _name_transforms(dataset: ViewDataset) -> str:
    """Hash of all views of the first record."""
    views = range(dataset.views if len(dataset) else 0)
    images = (image for view in views for image in list_images(dataset.replay(0, view)))
    return blake2b("".join(map(hash_tensor, images)).encode(), digest_size=12).hexdigest()


def _name_files(record: Mapping[str, Any]) -> str:
    """Hash of size and time of every file that a record names."""
    stamps = [(status.st_size, status.st_mtime_ns) for status in map(os.stat, _list_files(record))]
    return blake2b(repr(stamps).encode(), digest_size=8).hexdigest()


def _list_files(record: Mapping[str, Any]) -> Iterator[str | os.PathLike[str]]:
    for value in record.values():
        for path in value if isinstance(value, list | tuple) else [value]:
            if isinstance(path, str | os.PathLike) and os.path.isfile(path):
                yield path
