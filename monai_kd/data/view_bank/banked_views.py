"""Views with what the teacher says of them."""

from collections.abc import Mapping
from typing import Any

from torch.utils.data import Dataset

from monai_kd.data.view_bank.logit_store import LogitStore, ViewBankError
from monai_kd.data.view_bank.view_bank import ViewBank
from monai_kd.data.view_dataset import Item


class BankedViews(Dataset[Item]):
    """The items of a bank's data set, each window with its `teacher_logits` in float32.

    MONAI's `PrepareBatchExtraInput({"teacher_logits": "teacher_logits"})` hands them to the
    distiller, which then needs no teacher of its own.
    """

    def __init__(self, bank: ViewBank) -> None:
        self.bank = bank
        self.data = bank.dataset.data
        self.transform = bank.dataset.transform
        self._store: LogitStore | None = None

    def __len__(self) -> int:
        return len(self.bank.dataset)

    def __getitem__(self, index: int | tuple[int, int]) -> Item:
        """The view of this epoch, see `ViewDataset`."""
        item = self.bank.dataset[index]
        if isinstance(item, list):
            return [self._add_logits(window) for window in item]
        return self._add_logits(item)

    def start_epoch(self, epoch: int) -> None:
        """From now on show the views of this epoch; the first is 1."""
        self._open_store()  # here rather than in each worker: it hashes the teacher's weights
        self.bank.dataset.start_epoch(epoch)

    def _open_store(self) -> LogitStore:
        if self._store is None:
            self._store = self.bank.open_store()
        return self._store

    def _add_logits(self, window: Mapping[str, Any]) -> Mapping[str, Any]:
        store = self._open_store()
        path = store.find(window["image"])
        if not path.exists():
            raise ViewBankError(
                f"the view bank {store.folder} has no view like that of case {window['case']}: "
                "fill it with this teacher, these transforms and this seed, on this machine"
            )
        return {**window, "teacher_logits": store.read(path)}
