"""What training does to a window at random, as the bundle says it."""

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

from monai_kd.data import LabelToRegionsd, RandLoadWindowsd

BUNDLES = Path(__file__).parents[2] / "bundles"
REGIONS = {"TC": [1, 4], "WT": [1, 2, 4], "ET": [4]}


def windows(record, *, recipe, dropout):
    """Twelve windows as the main job makes them."""
    main = ConfigParser.load_config_file(BUNDLES / "distill.yaml")
    steps = {"modality_dropout": dropout, "finish": main["train"]["finish"]}
    steps |= ConfigParser.load_config_file(BUNDLES / "augmentation.yaml")
    parser = ConfigParser(steps)
    load = RandLoadWindowsd(["image", "label"], spatial_size=(24, 24, 24), num_samples=12)
    random = [*parser.get_parsed_content(recipe), *parser.get_parsed_content("finish")]
    chain = Compose([load, LabelToRegionsd("label", REGIONS), *random])
    return chain.set_random_state(seed=0)(record)


@pytest.mark.parametrize("recipe", ["light", "full"])
def test_windows_keep_their_shape_and_regions_stay_nested_masks(record, recipe):
    for window in windows(record, recipe=recipe, dropout=0.0):
        assert window["image"].shape == (4, 24, 24, 24)
        assert torch.isfinite(window["image"]).all()
        core, whole, enhancing = window["label"]
        assert set(window["label"].unique().tolist()) <= {0.0, 1.0}
        assert (enhancing <= core).all()
        assert (core <= whole).all()


@pytest.mark.parametrize("recipe", ["light", "full"])
def test_a_dropped_modality_is_blank_to_the_network(record, recipe):
    for window in windows(record, recipe=recipe, dropout=1.0):
        blank = [not channel.any() for channel in window["image"]]
        assert 1 <= sum(blank) <= 3
