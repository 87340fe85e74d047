"""The rule itself is held to `data_prep.scans.normalisation` by `test_preparation`."""

import torch

from monai_kd.inference.transforms import NormalizeForegroundd


def test_empty_and_constant_channels_become_zero_and_the_input_is_left_as_it_was():
    image = torch.stack([torch.zeros(4, 4, 4), torch.full((4, 4, 4), 5.0)])
    assert not NormalizeForegroundd("image")({"image": image})["image"].any()
    assert (image[1] == 5).all()
