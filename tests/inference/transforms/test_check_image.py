import pytest
import torch
from monai.data import MetaTensor

from monai_kd.inference.transforms import CheckImaged

NAMES = ("t1ce", "t1", "t2", "flair")


def make_scan(channels: int = 4) -> MetaTensor:
    voxels = torch.arange(channels * 60.0).reshape(channels, 3, 4, 5)
    return MetaTensor(voxels, meta={"filename_or_obj": "P1/t1ce.nii.gz"})


def refuse(image: torch.Tensor) -> str:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refusal:
        CheckImaged("image", NAMES)({"image": image})
    return str(refusal.value)


def test_a_sound_scan_passes_unchanged() -> None:
    image = make_scan()
    assert CheckImaged("image", NAMES)({"image": image, "case": "P1"}) == {
        "image": image,
        "case": "P1",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_voxel_that_is_no_number_is_refused_by_file_and_channel(value: float) -> None:
    image = make_scan()
    image[2, 0, 0, :3] = value
    assert refuse(image).startswith("P1/t1ce.nii.gz: 3 voxel(s) of t2 are NaN or infinite")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (make_scan(3), "P1/t1ce.nii.gz: 3 channel(s), expected 4 in the order t1ce, t1, t2, flair"),
        (
            make_scan() * torch.tensor([1, 1, 1, 0])[:, None, None, None],
            "every voxel of flair is 0",
        ),
        (torch.zeros(1, 2, 2, 2), "image: 1 channel(s)"),
    ],
)
def test_another_number_of_channels_and_an_empty_one_are_refused(
    image: torch.Tensor, told: str
) -> None:
    assert told in refuse(image)


def test_a_missing_key_may_be_allowed() -> None:
    assert CheckImaged("image", NAMES, allow_missing_keys=True)({"label": 1}) == {"label": 1}
