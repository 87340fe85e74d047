from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from data_prep.brats.labels import SCHEMES
from monai_kd.data import LabelToRegionsd

BUNDLES = Path(__file__).parents[2] / "bundles"
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


@pytest.mark.parametrize("recipe", ["light", "full"])
def test_an_unknown_label_is_told_from_a_known_one_after_every_augmentation(recipe):
    random = ConfigParser.load_config_file(BUNDLES / "augmentation.yaml")[recipe]
    regions = LabelToRegionsd("label", SCHEMES["brats2021"].regions)
    steps = [regions, *ConfigParser({"steps": random}).get_parsed_content("steps")]
    image = MetaTensor(torch.rand(4, 12, 12, 12))
    for known in (False, True):
        case = {"image": image} | ({"label": torch.zeros(1, 12, 12, 12)} if known else {})
        for seed in range(6):
            label = Compose(steps).set_random_state(seed=seed)(case)["label"]
            assert label.shape == (3, 12, 12, 12)
            assert (label.amin() < 0) != known


def test_a_case_without_label_and_image_is_refused():
    with pytest.raises(ValueError, match="neither \\['label'\\] nor 'image', only \\['scan'\\]"):
        LabelToRegionsd("label", SCHEMES["msd"].regions)({"scan": LABEL})
