import torch

from monai_kd.data import RandModalityDropoutd

IMAGE = torch.ones(4, 2, 2, 2)


def kept(count, **options):
    drop = RandModalityDropoutd("image", **options).set_random_state(seed=0)
    images = [drop({"image": IMAGE})["image"] for _ in range(count)]
    return [tuple(bool(channel.any()) for channel in image) for image in images]


def test_any_sequence_may_be_missing_and_never_all():
    assert len(set(kept(300, prob=1.0))) == 2**4 - 2
    assert (False,) * 4 not in kept(300, prob=1.0)


def test_it_happens_as_often_as_asked():
    whole = sum(subset == (True,) * 4 for subset in kept(400, prob=0.25))
    assert abs(whole / 400 - 0.75) < 0.07


def test_a_kept_channel_is_unchanged_and_the_input_too():
    drop = RandModalityDropoutd("image", prob=1.0).set_random_state(seed=3)
    image = torch.randn(4, 2, 2, 2)
    before = image.clone()
    after = drop({"image": image})["image"]
    assert torch.equal(image, before)
    for channel, source in zip(after, image, strict=True):
        assert torch.equal(channel, source) or not channel.any()


def test_the_only_sequence_is_never_dropped():
    drop = RandModalityDropoutd("image", prob=1.0).set_random_state(seed=0)
    assert all(drop({"image": IMAGE[:1]})["image"].all() for _ in range(20))
