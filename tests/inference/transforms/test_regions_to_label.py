import itertools
import math

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import ConvertToMultiChannelBasedOnBratsClasses

from monai_kd.inference.transforms import RegionsToLabeld

ALL_COMBINATIONS = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3))).T.reshape(3, 2, 2, 2)


def merge(regions: torch.Tensor, **options: tuple[int, ...]) -> torch.Tensor:
    merged: torch.Tensor = RegionsToLabeld("pred", **options)({"pred": regions})["pred"]
    return merged


def test_brats_labels_survive_the_way_to_regions_and_back() -> None:
    label = torch.tensor([0, 1, 2, 4]).reshape(1, 2, 2, 1)
    regions = ConvertToMultiChannelBasedOnBratsClasses()(label)
    assert torch.equal(merge(regions, labels=(1, 2, 4)), label.to(torch.uint8))


def test_labels_are_contiguous_by_default() -> None:
    label = merge(ALL_COMBINATIONS)
    assert label.unique().tolist() == [0, 1, 2, 3]
    assert (label.dtype, label.shape) == (torch.uint8, (1, 2, 2, 2))


def test_the_inner_region_wins() -> None:
    core, whole, enhancing = ALL_COMBINATIONS > 0
    label = merge(ALL_COMBINATIONS)[0]
    assert torch.equal(label == 3, enhancing)
    assert torch.equal(label == 1, core & ~enhancing)
    assert torch.equal(label == 2, whole & ~core & ~enhancing)


def test_a_label_map_keeps_its_place_but_not_the_axis_of_the_modalities() -> None:
    affine = torch.diag(torch.tensor([-1.0, -1.0, 2.0, 1.0]))
    regions = MetaTensor(ALL_COMBINATIONS, affine=affine, meta={"original_channel_dim": -1})
    label = merge(regions)
    assert torch.equal(label.affine, regions.affine)
    assert math.isnan(label.meta["original_channel_dim"])
    assert regions.meta["original_channel_dim"] == -1


def test_another_number_of_regions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"4 channel\(s\), expected 3 regions"):
        merge(torch.zeros(4, 2, 2, 2))
