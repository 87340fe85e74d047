from pathlib import Path

import blosc2
import numpy as np
import pytest
import torch

from monai_kd.data import LoadVoxelsd
from monai_kd.data.voxels import read_block


def test_a_block_is_the_same_as_cutting_the_whole(record):
    block = (slice(3, 20), slice(5, 9), slice(0, 17))
    for path in record.values():
        whole, part = read_block(path), read_block(path, block)
        assert torch.equal(part.as_tensor(), whole.as_tensor()[(slice(None), *block)])


def test_a_block_knows_where_it_lies(record):
    block = (slice(3, 9), slice(5, 9), slice(2, 9))
    whole, part = read_block(record["image"]), read_block(record["image"], block)
    corner = whole.affine @ torch.tensor([3.0, 5.0, 2.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(part.affine[:, 3], corner)


def test_the_brain_has_mean_zero_and_deviation_one_and_its_surround_is_zero(record):
    stored = blosc2.open(record["image"], mode="r")[...]
    image = LoadVoxelsd(["image"])(record)["image"].as_tensor()
    for channel, voxels in zip(image, stored, strict=True):
        brain = torch.from_numpy(voxels != 0)
        assert channel[brain].mean().abs() < 1e-5
        torch.testing.assert_close(channel[brain].std(correction=0), torch.tensor(1.0))
        assert (channel[~brain] == 0).all()


def test_a_label_keeps_its_values_and_the_grid_of_its_image(record):
    case = LoadVoxelsd(["image", "label"])(record)
    assert case["label"].shape == (1, *case["image"].shape[1:])
    assert set(np.unique(case["label"])) <= {0, 1, 2, 4}
    assert torch.equal(case["label"].affine, case["image"].affine)


def test_voxels_that_have_rotted_are_told_and_not_trained_on(record, tmp_path):
    content = bytearray(Path(record["image"]).read_bytes())
    quarter = len(content) // 4
    content[quarter : 3 * quarter] = bytes(2 * quarter)
    (tmp_path / "image.b2nd").write_bytes(content)
    with pytest.raises(ValueError, match=r"image.b2nd is damaged .*: voxelise again"):
        read_block(tmp_path / "image.b2nd")
