from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine, from_matvec
from nibabel.orientations import axcodes2ornt, inv_ornt_aff
from scipy import ndimage
from scipy.spatial.transform import Rotation

from data_prep.scans.grid import Grid, choose_grid, grid_of
from data_prep.scans.resampling import LINEAR, NEAREST, to_grid
from tests.data_prep.back import from_grid

ORIENTATIONS = [
    tuple(pair[side] for pair, side in zip(axes, sides, strict=True))
    for axes in permutations(("LR", "PA", "IS"))
    for sides in product((0, 1), repeat=3)
]
SHAPE = (9, 12, 7)
lawful = settings(deadline=None, derandomize=True, max_examples=50, database=None)
orientations = st.sampled_from(ORIENTATIONS)
angles = st.tuples(*[st.floats(-25, 25)] * 3)
origins = st.tuples(*[st.floats(-100, 100)] * 3)


def affine_of(orientation, spacing, angles, origin, shape=SHAPE):
    """A scan of `shape` stored with that orientation, then turned by `angles` in degrees."""
    stored = inv_ornt_aff(axcodes2ornt(orientation), shape) @ np.diag([*spacing, 1.0])
    turn = from_matvec(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), origin)
    return turn @ stored


def labels_of(seed, shape=SHAPE):
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 4], np.uint8), shape)


def blobs_of(seed, shape):
    """Smooth labels, as those of a tumour are."""
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, 5)
    return (smooth > np.quantile(smooth, 0.7)).astype(np.uint8)


def straight_grid_around(grid, spacing_mm):
    low, high = grid.corners_mm.min(axis=0) - 2, grid.corners_mm.max(axis=0) + 2
    affine = from_matvec(np.eye(3) * spacing_mm, low)
    return Grid(tuple(int(side) for side in np.ceil((high - low) / spacing_mm)), affine)


def dice(first, second):
    return 2 * np.sum(first & second) / (first.sum() + second.sum())


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@lawful
@given(orientation=orientations, angles=angles, origin=origins, seed=st.integers(0, 99))
def test_a_scan_of_the_wanted_spacing_comes_back_untouched(orientation, angles, origin, seed):
    affine = affine_of(orientation, (1, 1, 1), angles, origin)
    labels = labels_of(seed)
    grid = choose_grid(SHAPE, affine, spacing_mm=(1, 1, 1))
    on_grid = to_grid(labels, affine, grid, NEAREST)
    assert np.shares_memory(on_grid, labels)
    assert np.array_equal(from_grid(on_grid, grid, SHAPE, affine), labels)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_becomes_ras_and_keeps_each_voxel_in_its_place(orientation):
    affine = affine_of(orientation, (1, 1, 1), (0, 0, 0), (5, -7, 3))
    labels = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    grid = grid_of(SHAPE, affine)
    on_grid = to_grid(labels, affine, grid, NEAREST)
    assert nibabel.aff2axcodes(grid.affine) == ("R", "A", "S")
    index = (1, 2, 3)
    there = np.linalg.inv(grid.affine) @ affine @ (*index, 1)
    assert on_grid[tuple(there[:3].round().astype(int))] == labels[index]


@lawful
@given(
    orientation=orientations,
    spacing=st.tuples(*[st.floats(1.01, 4)] * 3),
    angles=angles,
    origin=origins,
    seed=st.integers(0, 99),
)
def test_labels_survive_a_finer_grid_exactly(orientation, spacing, angles, origin, seed):
    affine = affine_of(orientation, spacing, angles, origin)
    labels = labels_of(seed)
    grid = choose_grid(SHAPE, affine, spacing_mm=(1, 1, 1))
    on_grid = to_grid(labels, affine, grid, NEAREST)
    assert np.allclose(grid.spacing_mm, 1)
    assert np.array_equal(from_grid(on_grid, grid, SHAPE, affine), labels)


@lawful
@given(
    spacing=st.tuples(*[st.floats(0.8, 1.5)] * 3),
    orientation=orientations,
    angles=angles,
    seed=st.integers(0, 99),
)
def test_blobs_survive_an_oblique_grid_that_is_not_theirs(spacing, orientation, angles, seed):
    shape = (24, 26, 22)
    affine = affine_of(orientation, spacing, angles, (3, 2, 1), shape)
    grid = straight_grid_around(grid_of(shape, affine), spacing_mm=0.7)
    blobs = blobs_of(seed, shape)
    back = from_grid(to_grid(blobs, affine, grid, NEAREST), grid, shape, affine)
    assert dice(back, blobs) >= 0.98


@lawful
@given(
    shape=st.tuples(*[st.integers(2, 12)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 5)] * 3),
    orientation=orientations,
    angles=angles,
)
def test_a_new_grid_begins_at_the_first_voxel_and_ends_nearest_to_the_last(
    shape, spacing, orientation, angles
):
    affine = affine_of(orientation, spacing, angles, (0, 0, 0), shape)
    own, grid = grid_of(shape, affine), choose_grid(shape, affine, spacing_mm=(1, 1, 1))
    assert np.allclose(grid.spacing_mm, 1)
    assert np.allclose(grid.corners_mm[0], own.corners_mm[0])
    last = np.linalg.inv(grid.affine) @ np.append(own.corners_mm[-1], 1)
    assert np.abs(last[:3] - np.array(grid.shape) + 1).max() <= 0.5 + 2e-3


def test_a_sheared_scan_gets_perpendicular_axes_and_its_labels_survive():
    sheared = np.eye(4)
    sheared[0, 1] = 0.2
    shape = (40, 44, 36)
    grid = choose_grid(shape, sheared, spacing_mm=None)
    axes = grid.affine[:3, :3] / grid.spacing_mm
    blobs = blobs_of(1, shape)
    back = from_grid(to_grid(blobs, sheared, grid, NEAREST), grid, shape, sheared)
    assert np.allclose(axes.T @ axes, np.eye(3))
    assert dice(back, blobs) >= 0.95


def test_no_spacing_keeps_the_own_one():
    affine = affine_of(("L", "P", "S"), (0.5, 0.7, 3), (5, 0, 0), (0, 0, 0))
    grid = choose_grid(SHAPE, affine, spacing_mm=None)
    assert np.allclose(grid.spacing_mm, (0.5, 0.7, 3))
    assert grid.is_same(grid_of(SHAPE, affine))


def test_a_grid_within_a_thousandth_of_a_mm_is_the_same():
    grid = grid_of(SHAPE, np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 5e-4
    assert grid.is_same(grid_of(SHAPE, moved))
    moved[0, 3] = 5e-3
    assert not grid.is_same(grid_of(SHAPE, moved))
    assert not grid.is_same(grid_of((9, 12, 8), np.eye(4)))


@lawful
@given(spacing=st.tuples(*[st.floats(0.4, 3)] * 3), orientation=orientations)
def test_a_linear_slope_stays_linear_between_voxels(spacing, orientation):
    affine = affine_of(orientation, spacing, (10, 0, 5), (0, 0, 0))
    position = apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1)).astype(np.float64)
    slope = position @ (1.0, 2.0, -3.0)
    grid = choose_grid(SHAPE, affine, spacing_mm=(1, 1, 1))
    values = to_grid(slope, affine, grid, LINEAR)
    own = np.moveaxis(np.indices(grid.shape), 0, -1)
    index = apply_affine(np.linalg.inv(affine) @ grid.affine, own)
    between = ((index >= 0) & (index <= np.array(SHAPE) - 1)).all(axis=-1)
    expected = apply_affine(grid.affine, own) @ (1.0, 2.0, -3.0)
    assert np.allclose(values[between], expected[between], atol=0.01)


def test_an_even_scan_stays_even_to_its_last_voxel():
    affine = np.diag([1.7, 0.6, 3.0, 1.0])
    grid = choose_grid(SHAPE, affine, spacing_mm=(1, 1, 1))
    values = to_grid(np.full(SHAPE, 500, np.int16), affine, grid, LINEAR)
    assert values.dtype == np.float32
    assert (values == 500).all()


def test_what_interpolation_makes_of_nothing_is_nothing():
    values = np.zeros((30, 30, 30), np.float32)
    values[10:20, 10:20, 10:20] = 500
    values[0, 0, 0] = 1e-3
    grid = choose_grid((30, 30, 30), np.diag([0.9, 0.9, 0.9, 1]), spacing_mm=(1, 1, 1))
    found = to_grid(values, np.diag([0.9, 0.9, 0.9, 1]), grid, LINEAR)
    assert found[0, 0, 0] == 0
    assert found.max() == 500


def test_beyond_the_scan_there_is_nothing():
    grid = choose_grid((30, 30, 30), np.eye(4), spacing_mm=(1, 1, 1))
    far = np.eye(4)
    far[0, 3] = 20
    values = to_grid(np.ones((5, 30, 30), np.uint8), far, grid, LINEAR)
    assert not values[:19].any()
    assert not values[26:].any()
    assert values[20:25].all()


def test_a_cut_grid_keeps_the_voxels_where_they_were():
    affine = affine_of(("R", "A", "S"), (1, 2, 3), (10, 20, 5), (1, 2, 3))
    grid = grid_of(SHAPE, affine)
    box = (slice(2, 5), slice(3, 9), slice(1, 7))
    cut = grid.cut(box)
    assert cut.shape == (3, 6, 6)
    assert np.allclose(apply_affine(cut.affine, (0, 0, 0)), apply_affine(grid.affine, (2, 3, 1)))
    labels = labels_of(3)
    back = from_grid(to_grid(labels, affine, grid, NEAREST)[box], cut, SHAPE, affine)
    assert np.array_equal(to_grid(back, affine, cut, NEAREST), labels_on(cut, labels, affine))
    assert np.count_nonzero(back) == np.count_nonzero(labels_on(cut, labels, affine))


def labels_on(grid, labels, affine):
    return to_grid(labels, affine, grid, NEAREST)
