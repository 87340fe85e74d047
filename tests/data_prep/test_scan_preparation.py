"""What is done to a case on the way in is undone on the way out, whatever its channels are."""

import nibabel
import numpy as np
import pytest

from data_prep.scans import Scan, measure, normalise, prepare, restore

SHAPE = (35, 51, 36)  # of a hippocampus: one channel, and hardly a voxel is 0


def make_scan(values, affine=None):
    header = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine).header
    return Scan(values, header, "")


def noise(seed=0):
    return np.random.default_rng(seed).integers(1, 900, SHAPE).astype(np.int16)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_any_number_of_channels_without_background_stay_whole(channels, kind):
    scans = {str(index): make_scan(noise(index).astype(kind)) for index in range(channels)}
    cut = prepare(scans)
    assert cut.moved == ()
    for name, volume in cut.volumes.items():
        assert np.array_equal(volume, scans[name].values)
        image = normalise(volume, measure(volume))
        assert abs(image.mean()) < 1e-4
        assert image.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_what_was_cut_comes_back_to_its_own_voxels(axes, signs):
    values = np.zeros(SHAPE, np.int16)
    values[3:20, 10:40, 5:30] = noise()[3:20, 10:40, 5:30]
    affine = np.eye(4)
    affine[:3, :3] = np.diag(signs) @ np.eye(3)[list(axes)]
    scan = make_scan(values, affine)
    cut = prepare({"t1": scan})
    assert sorted(cut.volumes["t1"].shape) == [17, 25, 30]
    assert np.array_equal(restore(cut.volumes["t1"], scan, grid=cut.grid, box=cut.box), values)


@pytest.mark.parametrize("spacing_mm", [(0.7, 0.7, 0.7), (2.0, 2.0, 2.0), (1.0, 1.3, 0.6)])
def test_a_smooth_image_survives_another_spacing_up_to_its_border(spacing_mm):
    slope = np.add.outer(np.add.outer(np.arange(35.0), np.arange(51.0)), np.arange(36.0)) + 100
    scan = make_scan(slope.astype(np.float32))
    cut = prepare({"t1": scan}, spacing_mm=spacing_mm)
    assert cut.moved == ("t1",)
    assert cut.volumes["t1"].min() >= 100
    back = restore(cut.volumes["t1"], scan, grid=cut.grid, box=cut.box)
    inner = (slice(2, -2),) * 3
    assert np.allclose(back[inner], slope[inner], atol=0.01)


def test_a_channel_is_0_where_it_was_not_scanned():
    short = make_scan(np.full((35, 51, 10), 500, np.int16))
    cut = prepare({"t1": make_scan(noise()), "t2": short})
    assert (cut.volumes["t2"][..., :11] == 500).all()
    assert not cut.volumes["t2"][..., 12:].any()
