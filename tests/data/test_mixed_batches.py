from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader

from monai_kd.data.mixed_batches import MixedBatches


class _Showings:
    def __getitem__(self, showing):
        return showing


def flatten(batches):
    return [showing for batch in batches for showing in batch]


def test_every_batch_mixes_and_an_epoch_shows_every_unlabelled_record_once():
    batches = list(MixedBatches(labelled=3, unlabelled=10, unlabelled_per_batch=2))
    assert len(batches) == 5
    assert all([i < 3 for i, _ in batch] == [True, False, False] for batch in batches)
    assert sorted(i for i, n in flatten(batches) if i >= 3) == list(range(3, 13))


@pytest.mark.parametrize(("labelled", "unlabelled"), [(5, 0), (5, 2)])
def test_an_epoch_shows_every_labelled_record_where_they_are_more(labelled, unlabelled):
    batches = list(MixedBatches(labelled=labelled, unlabelled=unlabelled))
    assert sorted(i for i, _ in flatten(batches) if i < labelled) == list(range(labelled))
    assert {len(batch) for batch in batches} == {2 if unlabelled else 1}


def test_the_shorter_side_is_shown_evenly_and_never_twice_the_same():
    shown = flatten(MixedBatches(labelled=3, unlabelled=10))
    assert len(set(shown)) == len(shown)
    assert sorted(Counter(i for i, _ in shown if i < 3).values()) == [3, 3, 4]


def test_the_twin_has_as_many_batches_of_the_same_size_all_labelled():
    options = {"labelled": 3, "unlabelled": 10, "unlabelled_per_batch": 3}
    mixed, twin = (list(MixedBatches(**options, labelled_only=only)) for only in (False, True))
    assert [len(batch) for batch in mixed] == [len(batch) for batch in twin] == [4] * 4
    assert all(i < 3 for i, _ in flatten(twin))


def test_torchs_seed_decides_the_order():
    batches = MixedBatches(labelled=3, unlabelled=10)
    epochs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        epochs.append(list(batches))
    assert epochs[0] == epochs[1] != epochs[2]
    assert len(batches) == len(epochs[0])


def test_the_order_is_the_same_whatever_the_number_of_workers():
    batches = MixedBatches(labelled=3, unlabelled=10)
    orders = []
    for workers in (0, 2):
        torch.manual_seed(1)
        loader = DataLoader(
            _Showings(), batch_sampler=batches, num_workers=workers, collate_fn=list
        )
        orders.append([list(loader) for _epoch in range(2)])
    assert orders[0] == orders[1]


def test_what_makes_no_batch_is_refused():
    with pytest.raises(ValueError, match="0 labelled and 0 unlabelled records make no batch"):
        MixedBatches(labelled=0, unlabelled=0)
    with pytest.raises(ValueError, match="of labelled ones alone"):
        MixedBatches(labelled=0, unlabelled=4, labelled_only=True)
    with pytest.raises(ValueError, match="expected 1 or more of each"):
        MixedBatches(labelled=1, unlabelled=1, labelled_per_batch=0)
