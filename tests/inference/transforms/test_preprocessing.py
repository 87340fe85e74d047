"""What `bundles/preprocessing.yaml` promises."""

import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

SOURCE = Path(__file__).parents[3] / "bundles" / "preprocessing.yaml"
NAMES = ("t1ce", "t1", "t2", "flair")
BRATS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])


def read_transforms(*parts: str) -> Compose:
    parser = ConfigParser(ConfigParser.load_config_file(SOURCE))
    return Compose([step for part in parts for step in parser.get_parsed_content(part)])


@pytest.fixture
def case(tmp_path: Path) -> dict[str, Any]:
    """Four BraTS-like volumes (30 24 20) with an empty border, and one 4D file of them."""
    noise = np.random.default_rng(0)
    scan = np.zeros((4, 30, 24, 20), np.int16)
    scan[:, 4:26, 3:21, 2:18] = noise.integers(50, 400, (4, 22, 18, 16))
    save(tmp_path, scan=scan, affine=BRATS)
    return {
        "image": [str(tmp_path / f"{name}.nii.gz") for name in NAMES],
        "stacked": str(tmp_path / "scan4d.nii.gz"),
    }


def save(folder: Path, *, scan: np.ndarray, affine: np.ndarray) -> None:
    volumes = dict(zip((*NAMES, "scan4d"), (*scan, np.moveaxis(scan, 0, -1)), strict=True))
    for name, volume in volumes.items():
        nibabel.save(nibabel.Nifti1Image(volume, affine), folder / f"{name}.nii.gz")


def test_four_files_and_one_4d_file_are_the_same_image(case: dict[str, Any]) -> None:
    prepare = read_transforms("image")
    four, one = (prepare({"image": case[key]})["image"] for key in ("image", "stacked"))
    assert torch.equal(four.as_tensor(), one.as_tensor())
    assert torch.equal(four.affine, one.affine)


def test_the_image_is_cut_to_the_head_and_normalised(case: dict[str, Any]) -> None:
    image = read_transforms("image")({"image": case["image"]})["image"]
    assert image.shape == (4, 22, 18, 16)
    for channel in image.as_tensor():
        torch.testing.assert_close(
            channel[channel != 0].mean(), torch.tensor(0.0), atol=1e-4, rtol=0
        )
        torch.testing.assert_close(channel[channel != 0].std(correction=0), torch.tensor(1.0))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_storage_order_and_direction_make_no_difference(
    case: dict[str, Any], axes: tuple[int, ...]
) -> None:
    expected = read_transforms("image")({"image": case["image"]})["image"]
    folder = Path(case["stacked"]).parent
    scan = nibabel.load(case["stacked"])
    turned = nibabel.orientations.axcodes2ornt("".join("RAS"[axis] for axis in axes))
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(scan.affine), turned)
    stored = scan.as_reoriented(turn)
    save(folder, scan=np.moveaxis(np.asarray(stored.dataobj), -1, 0), affine=stored.affine)
    found = read_transforms("image")({"image": case["image"]})["image"]
    torch.testing.assert_close(found.as_tensor(), expected.as_tensor())


def test_other_voxel_sizes_are_brought_to_one_millimetre(case: dict[str, Any]) -> None:
    scan = nibabel.load(case["stacked"])
    nibabel.save(nibabel.Nifti1Image(scan.dataobj, np.diag([1.5, 1.0, 2.0, 1.0])), case["stacked"])
    image = read_transforms("image")({"image": case["stacked"]})["image"]
    torch.testing.assert_close(image.pixdim, torch.ones(3, dtype=torch.float64))
    assert image.shape[1:] == pytest.approx((33, 18, 32), abs=2)


def test_a_broken_scan_is_refused_with_its_name(case: dict[str, Any]) -> None:
    volume = np.full((30, 24, 20), np.nan, np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, BRATS), case["image"][1])
    with pytest.raises(RuntimeError) as refusal:
        read_transforms("image")({"image": case["image"]})
    assert "t1ce.nii.gz: 14400 voxel(s) of t1 are NaN" in str(refusal.value.__cause__)
