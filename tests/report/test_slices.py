from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb

from monai_kd.report.slices import COLOURS, paint_slice, read_slices


def test_slices_are_cut_to_what_is_there(run_dir: Path) -> None:
    slices = read_slices(run_dir / "slices.npz")
    assert slices.cases == ["glioma_1", "glioma_2"]
    assert slices.background.shape == (2, 24, 20)
    assert {maps.shape for maps in slices.labels.values()} == {slices.background.shape}


def test_slices_of_nothing_are_left_whole(tmp_path: Path) -> None:
    empty = np.zeros((1, 8, 6), np.float32)
    np.savez(tmp_path / "slices.npz", cases=np.array(["a"]), background=empty)
    assert read_slices(tmp_path / "slices.npz").background.shape == empty.shape


def test_a_slice_without_label_stays_grey() -> None:
    picture = paint_slice(np.linspace(0, 1, 80, dtype=np.float32).reshape(10, 8))
    assert picture.shape[0] / picture.shape[1] == 10 / 8
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])


def test_each_output_is_outlined_in_its_colour() -> None:
    label = np.zeros((30, 30), np.uint8)
    label[3:9, 3:9], label[12:18, 12:18], label[21:27, 21:27] = 1, 2, 9
    picture = paint_slice(np.full((30, 30), 0.5, np.float32), label)
    for colour in (COLOURS[0], COLOURS[1], COLOURS[8 % len(COLOURS)]):
        assert np.isclose(picture, to_rgb(colour)).all(axis=-1).any()


def test_a_full_size_slice_is_not_enlarged() -> None:
    assert paint_slice(np.zeros((240, 240), np.float32)).shape == (240, 240, 3)
