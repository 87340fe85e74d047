import pytest
from torch import nn

from monai_kd.experiment import (
    ExperimentError,
    check_window,
    choose_recipe,
    find_multiple,
    read_recipe,
)
from monai_kd.experiment.choices import check_count, check_positive, check_share
from monai_kd.outputs import Task

TASK = Task("regions", 3, ("MRI",), {"left": (1,)})


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
        check_count("max_epochs", value, least=1)


@pytest.mark.parametrize("value", [-0.1, 0, "x", float("nan"), float("inf"), False])
def test_a_number_that_is_no_number_is_named(value):
    with pytest.raises(ExperimentError, match="learning_rate is"):
        check_positive("learning_rate", value)


@pytest.mark.parametrize("window", [50, [48, 48], [48, 48, 50], [0, 16, 16], "48"])
def test_a_window_that_the_networks_cannot_take_is_named(window):
    with pytest.raises(ExperimentError, match="expected 3 multiples of 16"):
        check_window(window, TASK, network=Divisible())


def test_sound_settings_pass():
    check_count("seed", 0, least=0)
    check_positive("learning_rate", 0.1)
    check_window([48, 64, 32], TASK, network=Divisible())


@pytest.mark.parametrize("share", [-0.1, 1.5, "half", True, float("nan")])
def test_a_share_outside_of_zero_to_one_is_refused_by_name(share):
    with pytest.raises(
        ExperimentError, match=r"modality_dropout is .*, expected a number from 0 to"
    ):
        check_share("modality_dropout", share)


def test_the_ends_of_a_share_are_allowed():
    check_share("modality_dropout", 0)
    check_share("modality_dropout", 1.0)


def test_an_image_of_two_dimensions_takes_two_edges():
    check_window([48, 64], TASK._replace(spatial_dims=2), network=Divisible())
    with pytest.raises(ExperimentError, match="expected 2 multiples of 16"):
        check_window([48, 64, 32], TASK._replace(spatial_dims=2), network=Divisible())


def test_a_network_that_tells_no_multiple_takes_what_divides_its_window():
    check_window([96, 64, 32], TASK, network=nn.Identity())
    assert find_multiple(nn.Identity(), [96, 64, 32]) == 32
    assert find_multiple(Divisible(), [96, 64, 32]) == 16
