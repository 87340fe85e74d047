import numpy as np
import pytest

from monai_kd.inference.segmenting.agreement import MirroredRuntime, dice, measure_agreement


class FirstChannel:
    """A runtime whose logits are the first channel of the image."""

    name, device, threads, bytes_per_voxel, note = "first", "CPU", 1, 1, ""

    def run(self, image):
        """Answer at once."""
        return image[:1]


class RightHalf(FirstChannel):
    """A runtime that sees the right half alone."""

    def run(self, image):
        """Answer for one side."""
        seen = image[:1].copy()
        seen[:, : image.shape[1] // 2] = 0
        return seen


def _mask(seed, share=0.3):
    return np.random.default_rng(seed).random((8, 9, 10)) < share


@pytest.mark.parametrize(
    ("one", "other", "agreement"),
    [
        (_mask(0), _mask(0), 1),
        (_mask(0, 0), _mask(1, 0), 1),
        (_mask(0), ~_mask(0), 0),
        (_mask(0), _mask(0, 0), 0),
    ],
)
def test_equal_and_empty_opinions_agree_wholly_and_those_that_share_nothing_do_not(
    one, other, agreement
):
    assert dice(one, other) == agreement


def test_agreement_is_symmetric_and_between_0_and_1():
    one, other = _mask(1), _mask(2)
    assert 0 < dice(one, other) == dice(other, one) < 1


def test_agreement_is_told_for_each_region():
    first, second = {"WT": _mask(0), "ET": _mask(1)}, {"ET": _mask(1), "WT": ~_mask(0)}
    assert measure_agreement(first, second) == {"WT": 0.0, "ET": 1.0}


def test_what_knows_no_side_gives_the_same_opinion_mirrored():
    image = np.random.default_rng(0).random((4, 6, 7, 8), dtype=np.float32)
    mirrored = MirroredRuntime(FirstChannel())
    np.testing.assert_array_equal(mirrored.run(image), FirstChannel().run(image))


def test_the_mirrored_opinion_of_the_right_half_is_of_the_left():
    image = np.ones((4, 6, 7, 8), dtype=np.float32)
    assert MirroredRuntime(RightHalf()).run(image)[0, :, 0, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert MirroredRuntime(RightHalf()).name == "first"
