import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine, from_matvec
from plyfile import PlyData, PlyElement
from scipy.spatial.transform import Rotation

from data_prep.errors import DatasetError
from data_prep.layouts import find_dataset
from data_prep.point_cloud import (
    PointCloud,
    cloud_of_case,
    cloud_of_voxels,
    read_cloud,
    voxelise_cloud,
    write_cloud,
)
from data_prep.scans.grid import Grid
from data_prep.scans.store import read_array
from data_prep.voxels import voxelise

NAMES = ("t1ce", "flair")
lawful = settings(deadline=None, derandomize=True, max_examples=50, database=None)


def grid_of(spacing, angles, shape=(6, 7, 5)):
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing
    return Grid(shape, from_matvec(axes, (-80, 20, 7)))


def case_of(seed, shape=(6, 7, 5)):
    random = np.random.default_rng(seed)
    image = random.integers(0, 900, (2, *shape)) * (random.random(shape) > 0.4)
    label = random.choice([0, 1, 2, 4], shape) * (image != 0).any(axis=0)
    return image.astype(np.int16), label.astype(np.uint8)


grids = st.builds(
    grid_of, st.tuples(*[st.floats(0.3, 4)] * 3), st.tuples(*[st.floats(-180, 180)] * 3)
)


@lawful
@given(grid=grids, seed=st.integers(0, 99))
def test_a_case_becomes_a_cloud_and_the_same_case_again(grid, seed):
    image, label = case_of(seed)
    cloud = cloud_of_case(image, label, grid, NAMES)
    channels, occupancy = voxelise_cloud(cloud, grid)
    assert cloud.names == ("t1ce", "flair", "label")
    assert np.array_equal(channels[:2], image)
    assert np.array_equal(channels[2], label)
    assert np.array_equal(occupancy, (image != 0).any(axis=0))


@lawful
@given(grid=grids, seed=st.integers(0, 99))
def test_a_point_moves_by_less_than_a_voxel(grid, seed):
    random = np.random.default_rng(seed)
    index = random.uniform(-0.49, np.array(grid.shape) - 0.51, (20, 3))
    cloud = PointCloud(apply_affine(grid.affine, index), np.ones((20, 1)), ("t1",))
    channels, occupancy = voxelise_cloud(cloud, grid)
    again = cloud_of_case(channels, None, grid, ("t1",))
    back = apply_affine(np.linalg.inv(grid.affine), again.positions_mm)
    nearest = np.abs(index[:, None] - back[None]).max(axis=2).min(axis=1)
    assert occupancy.sum() == 20
    assert nearest.max() <= 0.5 + 1e-9


def test_a_voxelised_case_becomes_a_cloud_and_the_same_voxels_again(phantoms, tmp_path):
    voxelise(find_dataset(phantoms / "LGG"), tmp_path / "out", workers=1)
    (case, _) = (path for path in sorted((tmp_path / "out").iterdir()) if path.is_dir())
    cloud, grid = cloud_of_voxels(case)
    channels, _ = voxelise_cloud(cloud, grid)
    assert cloud.names == ("t1ce", "t1", "t2", "flair", "label")
    assert np.array_equal(channels[:4], read_array(case / "image.b2nd")[0])
    assert np.array_equal(channels[4], read_array(case / "label.b2nd")[0])


def test_points_in_one_voxel_give_their_mean_and_their_most_frequent_label():
    positions = np.array([[1.1, 2, 3], [0.9, 2, 3], [1, 2.2, 3], [4, 4, 4]])
    values = np.array([[10, 4], [20, 1], [60, 4], [5, 2]], dtype=float)
    cloud = PointCloud(positions, values, ("t1", "label"))
    channels, occupancy = voxelise_cloud(cloud, Grid((6, 6, 6), np.eye(4)))
    assert channels[:, 1, 2, 3].tolist() == [30, 4]
    assert channels[:, 4, 4, 4].tolist() == [5, 2]
    assert occupancy[1, 2, 3] == 3
    assert occupancy.sum() == 4


def test_of_equally_frequent_labels_the_lower_one_is_taken():
    cloud = PointCloud(np.zeros((4, 3)), np.array([[4.0], [1], [4], [1]]), ("label",))
    channels, _ = voxelise_cloud(cloud, Grid((1, 1, 1), np.eye(4)))
    assert channels.item() == 1


def test_points_beyond_the_grid_are_dropped():
    positions = np.array([[-0.6, 0, 0], [2.6, 0, 0], [1e300, 0, 0], [1, 1, 1]])
    cloud = PointCloud(positions, np.ones((4, 1)), ("t1",))
    channels, occupancy = voxelise_cloud(cloud, Grid((3, 3, 3), np.eye(4)))
    assert occupancy.sum() == channels.sum() == occupancy[1, 1, 1] == 1


def test_a_cloud_without_points_is_an_empty_grid():
    cloud = PointCloud(np.zeros((0, 3)), np.zeros((0, 2)), ("t1", "label"))
    channels, occupancy = voxelise_cloud(cloud, Grid((3, 4, 5), np.eye(4)))
    assert channels.shape == (2, 3, 4, 5)
    assert not channels.any()
    assert not occupancy.any()


@pytest.mark.parametrize("ending", [".npz", ".ply"])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_file_gives_the_cloud_back_exactly(tmp_path, ending, labelled):
    image, label = case_of(1)
    grid = grid_of((0.7, 1, 3), (10, 20, 30))
    cloud = cloud_of_case(image, label if labelled else None, grid, NAMES)
    write_cloud(tmp_path / f"case{ending}", cloud)
    again = read_cloud(tmp_path / f"case{ending}")
    assert np.array_equal(again.positions_mm, cloud.positions_mm)
    assert np.array_equal(again.values, cloud.values)
    assert again.names == cloud.names


def test_points_without_names_are_numbered(tmp_path):
    np.savez(tmp_path / "cloud.npz", points=np.ones((5, 5), np.float32))
    assert read_cloud(tmp_path / "cloud.npz").names == ("channel_0", "channel_1")


def test_other_columns_of_a_ply_are_channels_whatever_their_order_and_type(tmp_path):
    columns = [("red", "u1"), ("z", "f4"), ("y", "f4"), ("x", "f4")]
    vertices = np.array([(200, 3, 2, 1)], dtype=columns)
    PlyData([PlyElement.describe(vertices, "vertex")], text=True).write(tmp_path / "scan.ply")
    cloud = read_cloud(tmp_path / "scan.ply")
    assert cloud.positions_mm.tolist() == [[1, 2, 3]]
    assert cloud.values.tolist() == [[200]]
    assert cloud.names == ("red",)


@pytest.mark.parametrize("name", ["cloud.npz", "cloud.ply"])
@pytest.mark.parametrize("content", [b"", b"ply\nnonsense", b"PK\x03\x04 damaged", b"\x00" * 99])
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name}: not a point cloud as expected"):
        read_cloud(tmp_path / name)


@pytest.mark.parametrize("points", [np.ones(5), np.ones((5, 2)), np.array([object()])])
def test_an_array_that_is_no_cloud_is_refused(tmp_path, points):
    np.savez(tmp_path / "cloud.npz", points=points)
    with pytest.raises(DatasetError, match="not a point cloud as expected"):
        read_cloud(tmp_path / "cloud.npz")


def test_an_absent_file_and_another_ending_are_told(tmp_path):
    with pytest.raises(DatasetError, match="no file"):
        read_cloud(tmp_path / "cloud.npz")
    with pytest.raises(DatasetError, match=r"\.npz or \.ply"):
        read_cloud(tmp_path / "cloud.obj")


@pytest.mark.parametrize(
    ("positions", "values", "names", "told"),
    [
        (np.zeros((2, 2)), np.zeros((2, 1)), ("t1",), "expected N x 3"),
        (np.zeros((2, 3)), np.zeros((3, 1)), ("t1",), "N x 1"),
        (np.zeros((2, 3)), np.zeros((2, 2)), ("t1", "t1"), "different names"),
        (np.zeros((2, 3)), np.zeros((2, 1)), ("x",), "none x, y or z"),
        (np.full((2, 3), np.nan), np.zeros((2, 1)), ("t1",), "not finite"),
    ],
)
def test_a_cloud_that_makes_no_sense_is_refused(positions, values, names, told):
    with pytest.raises(DatasetError, match=told):
        PointCloud(positions, values, names)
