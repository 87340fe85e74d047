"""The command `points`: a voxelised case to a point cloud, and a point cloud to voxels."""

import argparse
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from data_prep.errors import DatasetError
from data_prep.files import write_bytes
from data_prep.point_cloud import cloud_of_voxels, read_cloud, voxelise_cloud, write_cloud
from data_prep.scans import Grid, read_scan
from data_prep.scans.store import as_smallest


def add_points(commands: Any) -> None:
    """Add `points` to a parser's commands."""
    parser = commands.add_parser(
        "points",
        help="convert a case to a point cloud, or a point cloud to voxels",
        description="Convert a case folder written by `voxelise` to a point cloud: one point per "
        "brain voxel, with its position in mm, its intensities and its label. With --like, convert "
        "a point cloud to one NIfTI file per channel: each voxel gets the mean of its points (of "
        "the channel `label` the most frequent value), or 0 where there is none.",
        epilog="Exit code: 0 done, 2 the command is wrong or a file cannot be used.",
    )
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="case folder, or with --like a point cloud"
    )
    parser.add_argument(
        "output", type=Path, metavar="OUT", help=".ply or .npz, or with --like a folder"
    )
    parser.add_argument(
        "--like", type=Path, metavar="SCAN", help="scan or case folder whose grid the voxels get"
    )
    parser.set_defaults(run=_points)


def _points(options: argparse.Namespace) -> int:
    if options.like:
        done = _write_voxels(options.input, options.like, options.output)
    else:
        cloud, _ = cloud_of_voxels(options.input)
        write_cloud(options.output, cloud)
        done = f"{len(cloud.values)} points with {', '.join(cloud.names)}"
    sys.stdout.write(f"{done} in {options.output}\n")
    return 0


def _write_voxels(file: Path, like: Path, folder: Path) -> str:
    """Write one NIfTI file per channel; return what was written, in words."""
    cloud, grid = read_cloud(file), _read_grid(like)
    files = [folder / f"{name}.nii" for name in cloud.names]
    for target in files:
        if target.parent != folder or target.exists():  # a name may hold a slash
            raise DatasetError(f"{target} exists or lies elsewhere: give a new folder, or rename")
    channels, occupancy = voxelise_cloud(cloud, grid)
    for target, channel in zip(files, channels, strict=True):
        write_bytes(target, nibabel.Nifti1Image(as_smallest(channel), grid.affine).to_bytes())
    inside, points = int(occupancy.sum()), len(cloud.values)
    return f"{', '.join(cloud.names)} of {inside} points ({points - inside} outside the grid)"


def _read_grid(like: Path) -> Grid:
    """Return the grid of a scan in the order in which it is stored, or that of a voxelised case."""
    if like.is_dir():
        return cloud_of_voxels(like)[1]
    try:
        scan = read_scan(like)
    except DatasetError as error:
        raise DatasetError(f"{like}: {error}") from error
    if scan.voxels.ndim != 3 or not abs(np.linalg.det(scan.affine)) > 0:
        raise DatasetError(f"{like}: expected one 3D volume with a position in space")
    return Grid(scan.shape, scan.affine)
