import itertools
import math

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import ConvertToMultiChannelBasedOnBratsClasses

from monai_kd.inference.segmenting.answer import draw_label
from monai_kd.inference.transforms import ClassesToLabeld, RegionsToLabeld
from monai_kd.outputs import Task

ALL_COMBINATIONS = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3))).T.reshape(3, 2, 2, 2)


NESTED = {"core": (1, 3), "whole": (1, 2, 3), "rim": (3,)}
CLASSES = {"background": (0,), "lake": (2,), "hill": (5,)}


def merge(regions: torch.Tensor, outputs: dict[str, tuple[int, ...]] = NESTED) -> torch.Tensor:
    merged: torch.Tensor = RegionsToLabeld("pred", outputs)({"pred": regions})["pred"]
    return merged


def choose(chances: torch.Tensor) -> torch.Tensor:
    chosen: torch.Tensor = ClassesToLabeld("pred", CLASSES)({"pred": chances})["pred"]
    return chosen


def test_brats_labels_survive_the_way_to_regions_and_back() -> None:
    label = torch.tensor([0, 1, 2, 4]).reshape(1, 2, 2, 1)
    regions = ConvertToMultiChannelBasedOnBratsClasses()(label)
    assert torch.equal(
        merge(regions, {"TC": (1, 4), "WT": (1, 2, 4), "ET": (4,)}), label.to(torch.uint8)
    )


def test_every_value_is_drawn() -> None:
    label = merge(ALL_COMBINATIONS)
    assert label.unique().tolist() == [0, 1, 2, 3]
    assert (label.dtype, label.shape) == (torch.uint8, (1, 2, 2, 2))


def test_the_inner_region_wins() -> None:
    core, whole, enhancing = ALL_COMBINATIONS > 0
    label = merge(ALL_COMBINATIONS)[0]
    assert torch.equal(label == 3, enhancing)
    assert torch.equal(label == 1, core & ~enhancing)
    assert torch.equal(label == 2, whole & ~core & ~enhancing)


def test_a_label_map_keeps_its_place_but_not_the_axis_of_the_channels() -> None:
    affine = torch.diag(torch.tensor([-1.0, -1.0, 2.0, 1.0]))
    regions = MetaTensor(ALL_COMBINATIONS, affine=affine, meta={"original_channel_dim": -1})
    label = merge(regions)
    assert torch.equal(label.affine, regions.affine)
    assert math.isnan(label.meta["original_channel_dim"])
    assert regions.meta["original_channel_dim"] == -1


def test_another_number_of_regions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"4 channel\(s\), expected 3: core, whole, rim"):
        merge(torch.zeros(4, 2, 2, 2))


def test_regions_that_overlap_without_nesting_share_a_value() -> None:
    left, right = torch.tensor([0.0, 1, 0, 1]), torch.tensor([0.0, 0, 1, 1])
    regions = torch.stack([left, right]).reshape(2, 2, 2, 1)
    label = merge(regions, {"left": (1, 2), "right": (2, 3)})
    assert label.flatten().tolist() == [0, 1, 3, 2]


@pytest.mark.parametrize("outputs", [NESTED, {"a": (1, 2), "b": (2, 3)}, {"c": (4, 7)}])
def test_predict_draws_the_same_label(outputs: dict[str, tuple[int, ...]]) -> None:
    regions = torch.rand((len(outputs), 4, 5, 6), generator=torch.manual_seed(0)) > 0.5
    masks = dict(zip(outputs, regions.numpy(), strict=True))
    own = draw_label(Task("regions", 3, ("x",), outputs), masks)
    assert (merge(regions.float(), outputs)[0].numpy() == own).all()


def test_the_likeliest_class_has_its_value_and_the_background_what_nobody_claims() -> None:
    chances = torch.tensor([[0.0, 0.2, 0.1], [0.0, 0.5, 0.1], [0.0, 0.3, 0.8]])
    label = choose(MetaTensor(chances.reshape(3, 3, 1, 1), meta={"original_channel_dim": -1}))
    assert label.flatten().tolist() == [0, 2, 5]
    assert (label.dtype, label.shape) == (torch.uint8, (1, 3, 1, 1))
    assert math.isnan(label.meta["original_channel_dim"])
    with pytest.raises(ValueError, match="expected 3: background, lake, hill"):
        choose(torch.zeros(2, 2, 2, 2))
