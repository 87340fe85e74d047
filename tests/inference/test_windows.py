"""Few windows, no seams, and a want of memory that is survived."""

import logging
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.errors import DatasetError
from monai_kd.inference.segmenting import windows
from monai_kd.inference.segmenting.windows import (
    BASE_BYTES,
    OVERLAP,
    choose_window,
    infer,
    place_windows,
)

EDGES = st.integers(1, 16).map(lambda n: 16 * n)


class VoxelwiseRuntime:
    """Adds the channels of each voxel; has memory for `most` voxels and notes what it was given."""

    name, device, threads, bytes_per_voxel = "voxelwise", "CPU", 1, 100

    def __init__(self, most: int = 10**9) -> None:
        self.most = most
        self.windows: list[tuple[int, ...]] = []

    def run(self, image: np.ndarray) -> np.ndarray:
        """Return three regions."""
        if image[0].size > self.most:
            raise MemoryError
        self.windows.append(image.shape[1:])
        return np.stack([image.sum(axis=0), image[0], -image[1]])


def make_image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 64, 48, 80)).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "LEAST_EDGE", 16)


def expect(image: np.ndarray) -> np.ndarray:
    return VoxelwiseRuntime().run(image)


def test_a_fixed_window_is_the_only_one() -> None:
    runtime, image = VoxelwiseRuntime(), make_image()[:, :, :33]
    found = infer(runtime, image, divisor=16, most_bytes=2**31, fixed=(32, 32, 32))
    assert set(runtime.windows) == {found.window} == {(32, 32, 32)}
    assert len(runtime.windows) == found.windows == 3 * 2 * 3
    np.testing.assert_allclose(found.logits, expect(image), atol=1e-5)


def test_one_window_if_the_memory_allows() -> None:
    runtime, image = VoxelwiseRuntime(), make_image()
    found = infer(runtime, image, divisor=16, most_bytes=2**31)
    assert runtime.windows == [found.window] == [(64, 48, 80)]
    np.testing.assert_array_equal(found.logits, expect(image))


def test_windows_join_to_what_one_window_gives() -> None:
    runtime, image = VoxelwiseRuntime(), make_image()
    most_bytes = BASE_BYTES + 100 * 32 * 32 * 32
    found = infer(runtime, image, divisor=16, most_bytes=most_bytes)
    assert len(runtime.windows) > 8
    assert np.prod(found.window) <= 32**3
    np.testing.assert_allclose(found.logits, expect(image), atol=1e-5)


def test_want_of_memory_halves_the_window_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    runtime, image = VoxelwiseRuntime(most=70_000), make_image()
    with caplog.at_level(logging.INFO):
        found = infer(runtime, image, divisor=16, most_bytes=2**31)
    assert np.prod(found.window) <= 70_000
    assert "not enough memory for a window of (64, 48, 80)" in caplog.text
    np.testing.assert_allclose(found.logits, expect(image), atol=1e-5)


def test_a_window_that_sees_too_little_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "LEAST_EDGE", 64)
    with pytest.raises(DatasetError, match="smallest window, of 64 voxels"):
        infer(VoxelwiseRuntime(), make_image(), divisor=16, most_bytes=BASE_BYTES)


def test_memory_for_no_window_at_all_is_an_error() -> None:
    with pytest.raises(DatasetError, match="smallest window"):
        infer(VoxelwiseRuntime(most=1), make_image(), divisor=16, most_bytes=2**31)


@given(shape=st.tuples(EDGES, EDGES, EDGES), most=st.integers(1, 2**24))
@settings(deadline=None)
def test_windows_fit_overlap_and_cover(shape: tuple[int, int, int], most: int) -> None:
    window = choose_window(shape, divisor=16, most_voxels=most)
    assert np.prod(window) <= most or window == (16, 16, 16)
    for side, edge in zip(shape, window, strict=True):
        starts = place_windows(side, edge)
        assert edge % 16 == 0
        assert (starts[0], starts[-1] + edge) == (0, side)
        assert all(b - a <= edge * (1 - OVERLAP) + 1 for a, b in pairwise(starts))
