import torch

from monai_kd.inference.transforms import NormalizeForegroundd


def normalised(image):
    return NormalizeForegroundd("image")({"image": image})["image"]


def brain(channels=2):
    """Noise in the middle of nothing."""
    image = torch.zeros(channels, 24, 24, 24)
    noise = torch.Generator().manual_seed(0)
    image[:, 2:22, 2:22, 2:22] = 300 + 50 * torch.randn(channels, 20, 20, 20, generator=noise)
    return image


def test_each_brain_has_mean_zero_and_deviation_one_and_nothing_around_it():
    image = brain()
    for before, after in zip(image, normalised(image), strict=True):
        assert after[before != 0].mean().abs() < 1e-5
        torch.testing.assert_close(after[before != 0].std(correction=0), torch.tensor(1.0))
        assert (after[before == 0] == 0).all()


def test_scale_and_channels_make_no_difference_to_one_another():
    image = brain()
    scaled = torch.stack([7 * image[0], image[1]])
    torch.testing.assert_close(normalised(scaled), normalised(image), atol=1e-4, rtol=0)


def test_one_voxel_of_a_million_moves_nothing_else():
    image = brain()
    stray = image.clone()
    stray[0, 5, 5, 5] = 1e6
    difference = (normalised(stray) - normalised(image)).abs()
    difference[0, 5, 5, 5] = 0
    assert difference.max() < 0.05
    assert normalised(stray).abs().max() < 4


def test_an_empty_channel_stays_empty_and_a_constant_one_becomes_zero():
    image = brain()
    image[0] = 0
    image[1] = 5
    assert not normalised(image).any()


def test_the_input_is_left_as_it_was():
    image = brain()
    before = image.clone()
    normalised(image)
    assert torch.equal(image, before)
