import pytest
import torch
from monai.data import MetaTensor

from data_prep.schemes import SCHEMES
from monai_kd.data import LabelToRegionsd

LABEL = torch.tensor([0, 1, 2, 3, 4, 7]).reshape(1, 6, 1, 1)


def regions_of(label, scheme):
    regions = SCHEMES[scheme].regions
    return LabelToRegionsd("label", regions)({"label": label})["label"]


@pytest.mark.parametrize(
    ("scheme", "core", "whole", "enhancing"),
    [
        ("brats2021", {1, 4}, {1, 2, 4}, {4}),
        ("brats2023", {1, 3}, {1, 2, 3}, {3}),
        ("brats2024", {1, 3}, {1, 2, 3}, {3}),
        ("msd", {2, 3}, {1, 2, 3}, {3}),
    ],
)
def test_each_convention_finds_its_own_regions(scheme, core, whole, enhancing):
    found = [set(LABEL[region[None] > 0].tolist()) for region in regions_of(LABEL, scheme)]
    assert found == [core, whole, enhancing]


def test_whole_numbers_of_any_type_give_the_same_regions():
    expected = regions_of(LABEL, "brats2021")
    for dtype in (torch.uint8, torch.int16, torch.float32):
        assert torch.equal(regions_of(LABEL.to(dtype), "brats2021"), expected)
    assert expected.dtype == torch.float32


def test_regions_stay_where_their_label_lies():
    label = MetaTensor(LABEL, affine=torch.diag(torch.tensor([2.0, 2, 2, 1])))
    assert torch.equal(regions_of(label, "brats2021").affine, label.affine)
