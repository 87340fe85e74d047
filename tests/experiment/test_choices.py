import pytest

from monai_kd.experiment import (
    ExperimentError,
    check_counts,
    check_numbers,
    check_window,
    choose_recipe,
    read_recipe,
)


def test_own_scans_take_the_full_recipe_and_phantoms_the_small_one():
    assert choose_recipe("/data/BraTS") == "full"
    assert choose_recipe(None) == "phantom"


def test_an_unknown_recipe_is_named_with_the_nearest():
    with pytest.raises(ExperimentError, match="no recipe 'fall'; did you mean 'full'"):
        read_recipe("fall", recipes={"full": {}, "phantom": {}})


@pytest.mark.parametrize("value", [0, -3, 2.5, "abc", True, None])
def test_a_count_that_is_no_count_is_named(value):
    with pytest.raises(ExperimentError, match="max_epochs is"):
        check_counts({"val_interval": 1, "max_epochs": value})


@pytest.mark.parametrize("value", [-0.1, "x", float("nan"), False])
def test_a_number_that_is_no_number_is_named(value):
    with pytest.raises(ExperimentError, match="learning_rate is"):
        check_numbers({"seed": 0, "learning_rate": value})


@pytest.mark.parametrize("window", [50, [48, 48], [48, 48, 50], [0, 16, 16], "48"])
def test_a_window_that_the_networks_cannot_take_is_named(window):
    with pytest.raises(ExperimentError, match="three multiples of 16"):
        check_window(window, multiple=16)


def test_sound_settings_pass():
    check_counts({"max_epochs": 3})
    check_numbers({"temperature": 2.0, "seed": 0})
    check_window([48, 64, 32], multiple=16)
