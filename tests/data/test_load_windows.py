import torch

from monai_kd.data import LoadVoxelsd, RandLoadWindowsd


def windows(record, *, seed=0, **options):
    load = RandLoadWindowsd(["image", "label"], **{"spatial_size": (16, 16, 16), **options})
    return load.set_random_state(seed=seed)(record)


def test_windows_are_cut_from_the_whole_case(record):
    whole = LoadVoxelsd(["image", "label"])(record)
    load = RandLoadWindowsd(["image", "label"], spatial_size=(16, 16, 16), num_samples=3)
    for window in load.set_random_state(seed=1)(record):
        shift = torch.linalg.inv(whole["image"].affine) @ window["image"].affine[:, 3]
        start = [round(float(value)) for value in shift[:3]]
        block = tuple(slice(first, first + 16) for first in start)
        for key in ("image", "label"):
            expected = whole[key].as_tensor()[(slice(None), *block)]
            assert torch.equal(window[key].as_tensor(), expected)


def test_a_foreground_window_holds_a_labelled_voxel(record):
    for window in windows(record, num_samples=20, foreground=1.0):
        assert (window["label"] > 0).any()


def test_every_label_value_is_met_about_equally_often(record):
    label = LoadVoxelsd(["label"])(record)["label"]
    values = [value for value in label.unique().tolist() if value]
    found = windows(record, num_samples=150, foreground=1.0, spatial_size=(1, 1, 1))
    met = torch.cat([window["label"].flatten() for window in found])
    for value in values:
        assert abs((met == value).float().mean() - 1 / len(values)) < 0.15


def test_the_seed_decides_the_windows(record):
    first, same, other = (windows(record, seed=seed)[0]["image"] for seed in (0, 0, 1))
    assert torch.equal(first.as_tensor(), same.as_tensor())
    assert not torch.equal(first.affine, other.affine)


def test_a_window_larger_than_the_case_is_filled_with_zeros(record):
    whole = LoadVoxelsd(["image"])(record)["image"]
    (window,) = windows(record, spatial_size=(64, 64, 64))
    assert window["image"].shape == (4, 64, 64, 64)
    assert window["label"].shape == (1, 64, 64, 64)
    torch.testing.assert_close(window["image"].abs().sum(), whole.abs().sum())


def test_a_case_without_label_is_read_anywhere(record):
    load = RandLoadWindowsd("image", spatial_size=(16, 16, 16), foreground=1.0)
    (window,) = load.set_random_state(seed=0)({"image": record["image"]})
    assert window["image"].shape == (4, 16, 16, 16)
