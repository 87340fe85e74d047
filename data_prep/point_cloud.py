"""Point clouds: a case as points in mm, and points as voxels; each undoes the other to a voxel.

The method that this project follows speaks of point clouds that are voxelised for the network.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine
from numpy.lib.recfunctions import unstructured_to_structured
from plyfile import PlyData, PlyElement, PlyParseError

from data_prep.errors import DatasetError
from data_prep.files import write_bytes
from data_prep.scans.grid import Grid
from data_prep.scans.store import read_array
from data_prep.voxels.record import IMAGE
from data_prep.voxels.record import LABEL as LABEL_FILE

AXES = ("x", "y", "z")
LABEL = "label"  # the name of the channel that holds classes, which cannot be averaged
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PointCloud:
    """N points: `positions_mm` (N x 3, right, front, top) and what is known there (N x C)."""

    positions_mm: Numbers
    values: Numbers
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        points, channels = len(self.positions_mm), len(self.names)
        if self.positions_mm.shape != (points, 3) or self.values.shape != (points, channels):
            raise DatasetError(
                f"positions {self.positions_mm.shape} and values {self.values.shape} for channels "
                f"{self.names}: expected N x 3 and N x {channels}"
            )
        if len(set(self.names) | set(AXES)) != channels + len(AXES):
            raise DatasetError(f"channels {self.names}: expected different names, none x, y or z")
        if not np.isfinite(self.positions_mm).all():
            raise DatasetError("a position is not finite; remove such points")


def cloud_of_case(
    image: npt.NDArray[Any], label: npt.NDArray[Any] | None, grid: Grid, names: Sequence[str]
) -> PointCloud:
    """Return the brain's voxels, those not 0 in some channel of `image` (C x y z), as points.

    `names` are those of the channels; the label, if there is one, becomes the last channel.
    """
    inside = (image != 0).any(axis=0)
    channels = [*image] if label is None else [*image, label]
    values = np.stack([channel[inside] for channel in channels], axis=1).astype(np.float64)
    positions = apply_affine(grid.affine, np.argwhere(inside))
    return PointCloud(positions, values, (*names, *(() if label is None else (LABEL,))))


def cloud_of_voxels(case_folder: Path) -> tuple[PointCloud, Grid]:
    """Return a voxelised case as points, and the grid that it lies on."""
    if not (case_folder / IMAGE).is_file():
        hint = "; to convert a point cloud, give --like" if case_folder.is_file() else ""
        raise DatasetError(f"{case_folder} is not a case folder written by `voxelise`{hint}")
    image, described = read_array(case_folder / IMAGE)
    label = case_folder / LABEL_FILE
    _, x, y, z = image.shape
    grid = Grid((x, y, z), np.array(described["affine"]))
    values = read_array(label)[0] if label.exists() else None
    return cloud_of_case(image, values, grid, described["modalities"]), grid


def voxelise_cloud(cloud: PointCloud, grid: Grid) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """Return channels (C x y z) and how many points fell in each voxel (x y z).

    A voxel has the mean of its points, and of labels the most frequent one (the lower of two that
    are); without points it is 0. Points outside the grid are dropped.
    """
    voxels, inside = _voxel_of_points(cloud, grid)
    filled, groups, counts = np.unique(voxels, return_inverse=True, return_counts=True)
    channels = np.zeros((len(cloud.names), *grid.shape))
    occupancy = np.zeros(grid.shape, dtype=np.int64)
    occupancy.flat[filled] = counts
    for name, channel, values in zip(cloud.names, channels, cloud.values[inside].T, strict=True):
        if name == LABEL:
            channel.flat[filled] = _most_frequent(groups, values)
        else:
            channel.flat[filled] = np.bincount(groups, weights=values) / counts
    return channels, occupancy


def write_cloud(path: str | os.PathLike[str], cloud: PointCloud) -> None:
    """Write `.npz` (`points`: N x (3 + C), `names`: C) or `.ply` (a vertex each, as doubles)."""
    target, points = Path(path), np.hstack([cloud.positions_mm, cloud.values])
    content = io.BytesIO()
    if _checked_ending(target) == ".npz":
        np.savez_compressed(content, points=points, names=np.array(cloud.names, dtype=np.str_))
    else:
        columns = np.dtype([(name, "<f8") for name in (*AXES, *cloud.names)])
        vertices = unstructured_to_structured(points, columns)
        try:
            PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(content)
        except ValueError as error:
            raise DatasetError(f"{target}: {error}, which PLY does not allow; use .npz") from error
    write_bytes(target, content.getvalue())


def read_cloud(path: str | os.PathLike[str]) -> PointCloud:
    """Read what `write_cloud` writes, or any `.npz` or `.ply` with the same names in it."""
    source = Path(path)
    read = _read_npz if _checked_ending(source) == ".npz" else _read_ply
    try:
        points, names = read(source)
    except FileNotFoundError as error:
        raise DatasetError(f"no file {source}") from error
    except (KeyError, ValueError, OSError, EOFError, PlyParseError, BadZipFile) as error:
        raise DatasetError(f"{source}: not a point cloud as expected ({error})") from error
    return PointCloud(points[:, :3], points[:, 3:], names)


def _read_npz(path: Path) -> tuple[Numbers, tuple[str, ...]]:
    with np.load(path, allow_pickle=False) as content:
        points = np.asarray(content["points"], dtype=np.float64)
        if points.ndim != 2 or points.shape[1] < len(AXES):
            raise ValueError(f"points of shape {points.shape}, expected N x (3 + C)")
        unnamed = [f"channel_{index}" for index in range(points.shape[1] - len(AXES))]
        names = content["names"].tolist() if "names" in content else unnamed
    return points, tuple(map(str, names))


def _read_ply(path: Path) -> tuple[Numbers, tuple[str, ...]]:
    vertices = PlyData.read(path)["vertex"].data
    names = tuple(name for name in vertices.dtype.names if name not in AXES)
    columns = [vertices[name].astype(np.float64) for name in (*AXES, *names)]
    return np.stack(columns, axis=1), names


def _checked_ending(path: Path) -> str:
    if path.suffix not in (".npz", ".ply"):
        raise DatasetError(f"{path}: expected a point cloud that ends in .npz or .ply")
    return path.suffix


def _voxel_of_points(
    cloud: PointCloud, grid: Grid
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the flat index of the voxel of each point inside the grid, and which points are."""
    exact = apply_affine(np.linalg.inv(grid.affine), cloud.positions_mm)
    nearest = np.floor(exact + 0.5)
    inside = ((nearest >= 0) & (nearest < grid.shape)).all(axis=1)
    indices = nearest[inside].astype(np.int64)
    return np.ravel_multi_index(tuple(indices.T), grid.shape), inside


def _most_frequent(groups: npt.NDArray[np.int64], values: Numbers) -> Numbers:
    """Return the most frequent value of each group, of several the lowest."""
    pairs, counts = np.unique(np.stack([groups, values]), axis=1, return_counts=True)
    order = np.lexsort((pairs[1], -counts, pairs[0]))  # within a group the wanted one comes first
    _, first = np.unique(pairs[0, order], return_index=True)
    return np.asarray(pairs[1, order][first])
