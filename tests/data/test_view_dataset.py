import random

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandFlipd, RandGaussianNoised, RandLambdad

from monai_kd.data.view_dataset import ViewDataset


def records():
    images = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return [{"case": f"case_{i}", "image": image} for i, image in enumerate(images)]


def dataset(*, count=4, seed=1, views=0):
    flip, noise = RandFlipd("image", prob=0.5), RandGaussianNoised("image", prob=1.0)
    return ViewDataset(records()[:count], Compose([flip, noise]), seed=seed, views=views)


def images(items):
    return {item["case"]: item["image"].as_tensor() for item in items}


def same(first, second):
    return all(torch.equal(first[case], second[case]) for case in first | second)


def epoch_of(shown, epoch, order=range(4)):
    shown.start_epoch(epoch)
    return images(shown[i] for i in order)


def test_a_view_depends_on_nothing_but_its_name():
    first, resumed = dataset(), dataset()
    whole = [epoch_of(first, epoch) for epoch in (1, 2, 3)]
    torch.rand(5), np.random.rand(5), resumed[2]
    assert same(whole[2], epoch_of(resumed, 3, order=[3, 1, 0, 2]))
    assert not same(whole[0], whole[1])
    assert not same(whole[0], epoch_of(dataset(seed=2), 1))


def test_a_view_keeps_its_bits_when_other_cases_join():
    assert torch.equal(dataset(count=2)[1]["image"], dataset(count=4)[1]["image"])


def test_workers_that_live_on_show_the_views_of_each_epoch():
    alone, shared = dataset(), dataset()
    loader = DataLoader(shared, batch_size=1, num_workers=1, persistent_workers=True)
    for epoch in (1, 2):
        shared.start_epoch(epoch)
        found = {batch["case"][0]: batch["image"][0].as_tensor() for batch in loader}
        assert same(found, epoch_of(alone, epoch))


def test_stored_views_come_round_in_turn():
    shown = dataset(views=3)
    epochs = [epoch_of(shown, epoch) for epoch in range(1, 7)]
    assert all(same(epochs[i], epochs[i + 3]) for i in range(3))
    assert not any(same(epochs[i], epochs[i + 1]) for i in range(3))
    assert torch.equal(shown.replay(0, 2)["image"].as_tensor(), epochs[2]["case_0"])


@pytest.mark.parametrize("views", [0, 4])
def test_a_record_shown_again_in_an_epoch_has_another_view(views):
    shown = dataset(views=views)
    seen = [shown[0, n]["image"].as_tensor() for n in range(4)]
    assert torch.equal(seen[0], shown[0]["image"].as_tensor())
    assert not any(torch.equal(seen[i], seen[j]) for i in range(4) for j in range(i))


@pytest.mark.parametrize("views", [1, 2, 7, 8, 1000])
def test_an_epoch_shows_each_stored_view_once_before_one_comes_again(views):
    shown = dataset(views=views)
    shown.start_epoch(3)
    chosen = [shown.choose_view(n) for n in range(2 * views)]
    assert sorted(chosen[:views]) == list(range(views))
    assert chosen[views:] == chosen[:views]


def test_showing_a_view_leaves_the_random_numbers_of_gpus_alone(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    dataset()[0]
    assert not seeded


def test_showing_a_view_draws_from_nobody_elses_random_numbers():
    def draw(_image):
        return torch.rand(1) + np.random.rand() + random.gauss(0, 1)

    shown = ViewDataset(records(), RandLambdad("image", draw, prob=1.0), seed=0)
    state = torch.get_rng_state(), random.getstate()
    first = shown[0]["image"]
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()
    assert first == shown[0]["image"]


def test_threads_do_not_change_a_view():
    threads = torch.get_num_threads()
    image = {"case": "large", "image": torch.randn(1, 64, 64, 64)}
    shown = ViewDataset([image], RandLambdad("image", torch.mean, prob=1.0), seed=0)
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(shown[0]["image"])
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert found[0] == found[1]


def test_a_case_without_a_name_of_its_own_is_refused():
    with pytest.raises(ValueError, match="record 0 has no 'case'"):
        ViewDataset([{"image": 1}], [], seed=0)
    with pytest.raises(ValueError, match="record 1 is case 'a' once more"):
        ViewDataset([{"case": "a"}, {"case": "a"}], [], seed=0)
    with pytest.raises(ValueError, match="views is -1"):
        ViewDataset([], [], seed=0, views=-1)
