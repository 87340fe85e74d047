"""Batches of labelled and unlabelled records together."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from monai_kd.errors import UserError

Showing = tuple[int, int]


class MixedBatches(Sampler[list[Showing]]):
    """Every batch has labelled records and unlabelled ones; a `batch_sampler` of a `ViewDataset`.

    The data set is the labelled records, followed by the unlabelled ones. An epoch shows each
    record at least once; the shorter side is shown in permutation after permutation, and the n-th
    showing of record i is the index `(i, n)`, to which a `ViewDataset` gives a view of its own.
    The order is drawn from torch's global generator, all of it with the first batch: a loader with
    workers asks for two iterators and takes batches from one of them.

    Args:
        labelled: how many records bear a label.
        unlabelled: how many follow that do not.
        labelled_per_batch: of them, in each batch.
        unlabelled_per_batch: of them, in each batch; none where there are none.
        labelled_only: as many batches, of the same size, of labelled records alone: the twin's.
    """

    def __init__(
        self,
        *,
        labelled: int,
        unlabelled: int,
        labelled_per_batch: int = 1,
        unlabelled_per_batch: int = 1,
        labelled_only: bool = False,
    ) -> None:
        _check(labelled, unlabelled, labelled_only=labelled_only)
        if min(labelled_per_batch, unlabelled_per_batch) < 1:
            raise UserError(
                f"a batch of {labelled_per_batch} labelled and {unlabelled_per_batch} unlabelled "
                "records, expected 1 or more of each"
            )
        self.labelled = labelled
        self.unlabelled = unlabelled
        known = labelled_per_batch if labelled else 0
        unknown = unlabelled_per_batch if unlabelled else 0
        self.batches = max(
            -(-labelled // labelled_per_batch), -(-unlabelled // unlabelled_per_batch)
        )
        self.known, self.unknown = (known + unknown, 0) if labelled_only else (known, unknown)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Showing]]:
        """Draw an epoch, once its first batch is asked for."""
        known = _draw(self.batches * self.known, count=self.labelled)
        unknown = _draw(self.batches * self.unknown, count=self.unlabelled, first=self.labelled)
        for batch in range(self.batches):
            yield (
                known[batch * self.known : (batch + 1) * self.known]
                + unknown[batch * self.unknown : (batch + 1) * self.unknown]
            )


def _check(labelled: int, unlabelled: int, *, labelled_only: bool) -> None:
    if min(labelled, unlabelled) < 0 or not labelled + (0 if labelled_only else unlabelled):
        raise UserError(
            f"{labelled} labelled and {unlabelled} unlabelled records make no batch"
            + (" of labelled ones alone" if labelled_only else "")
            + ": look at the data list"
        )


def _draw(total: int, *, count: int, first: int = 0) -> list[Showing]:
    """So many showings of the records from `first` on, permutation after permutation."""
    showings: list[Showing] = []
    while len(showings) < total:
        turn = len(showings) // count
        showings += [(first + i, turn) for i in torch.randperm(count).tolist()]
    return showings[:total]
