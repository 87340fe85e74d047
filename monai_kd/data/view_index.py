"""Which images each stored view has, so that a full bank is known without replaying its views."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from monai_kd.data.logit_store import hash_tensor
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
        self._known = _read_lines(self.path)

    def find(self, record: int, view: int) -> list[str] | None:
        """The names of a view's images, None where it was never replayed."""
        return self._known.get(self._name_view(record, view))

    def add(self, record: int, view: int, images: Sequence[str]) -> None:
        """Remember the names of a view's images."""
        name = self._name_view(record, view)
        if self._known.get(name) != list(images):
            self._known[name] = list(images)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([name, *images]) + "\n")

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
    values = [value if isinstance(value, list | tuple) else [value] for value in record.values()]
    found = [os.stat(path) for path in _list_files(sum(map(list, values), []))]
    stamps = [(status.st_size, status.st_mtime_ns) for status in found]
    return blake2b(repr(stamps).encode(), digest_size=8).hexdigest()


def _list_files(values: Iterable[Any]) -> list[str | os.PathLike[str]]:
    return [v for v in values if isinstance(v, str | os.PathLike) and os.path.isfile(v)]


def _read_lines(path: Path) -> dict[str, list[str]]:
    """The last line of a process that was killed may be torn."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    whole = (json.loads(line) for line in lines if line.endswith("]"))
    return {name: images for name, *images in whole}
