import json

import pytest
from torch import nn

from monai_kd.experiment import (
    ExperimentError,
    check_counts,
    check_numbers,
    check_share,
    check_window,
    choose_recipe,
    describe_data,
    find_multiple,
    read_recipe,
)


class Divisible(nn.Module):
    """A network that takes multiples of 16."""

    multiple = 16


def test_own_scans_take_the_full_recipe_and_phantoms_the_small_one():
    assert choose_recipe("/data/BraTS") == "full"
    assert choose_recipe(None) == "phantom"


def test_an_unknown_recipe_is_named_with_the_nearest():
    with pytest.raises(ExperimentError, match="no recipe 'fall'; did you mean 'full'"):
        read_recipe("fall", recipes={"full": {}, "phantom": {}})


@pytest.mark.parametrize("value", [0, -3, 2.5, "abc", True, None])
def test_a_count_that_is_no_count_is_named(value):
    with pytest.raises(ExperimentError, match="max_epochs is"):
        check_counts({"val_interval": 1, "max_epochs": value}, least=1)


@pytest.mark.parametrize("value", [-0.1, 0, "x", float("nan"), float("inf"), False])
def test_a_number_that_is_no_number_is_named(value):
    with pytest.raises(ExperimentError, match="learning_rate is"):
        check_numbers({"temperature": 1, "learning_rate": value}, zero=False)


@pytest.mark.parametrize("window", [50, [48, 48], [48, 48, 50], [0, 16, 16], "48"])
def test_a_window_that_the_networks_cannot_take_is_named(window):
    with pytest.raises(ExperimentError, match="three multiples of 16"):
        check_window(window, network=Divisible())


def test_sound_settings_pass():
    check_counts({"max_epochs": 3, "seed": 0}, least=0)
    check_numbers({"soft_label": 0, "temperature": 2.0}, zero=True)
    check_window([48, 64, 32], network=Divisible())


@pytest.mark.parametrize(("origin", "words"), [("phantoms", "made-up"), ("scans", "layout BIDS")])
def test_a_model_card_tells_phantoms_from_scans(tmp_path, origin, words):
    (tmp_path / "dataset.json").write_text(json.dumps({"origin": origin, "layout": "BIDS"}))
    described = describe_data(tmp_path / "dataset.json", cases={"training": 2, "unlabelled": 8})
    assert words in described
    assert "2 training, 8 unlabelled" in described


@pytest.mark.parametrize("share", [-0.1, 1.5, "half", True, float("nan")])
def test_a_share_outside_of_zero_to_one_is_refused_by_name(share):
    with pytest.raises(
        ExperimentError, match=r"modality_dropout is .*, expected a number from 0 to"
    ):
        check_share("modality_dropout", share)


def test_the_ends_of_a_share_are_allowed():
    check_share("modality_dropout", 0)
    check_share("modality_dropout", 1.0)


def test_a_network_that_tells_no_multiple_takes_what_divides_its_window():
    check_window([96, 64, 32], network=nn.Identity())
    assert find_multiple(nn.Identity(), [96, 64, 32]) == 32
    assert find_multiple(Divisible(), [96, 64, 32]) == 16
