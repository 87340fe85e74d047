"""Scans and masks as a page carries them: on one grid, cut to what is not 0, one byte a voxel."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from isal import igzip
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from data_prep.scans import Scan, read_scan
from data_prep.scans.crop import find_box, widen
from data_prep.scans.grid import Grid
from data_prep.scans.resampling import LINEAR, NEAREST, to_grid

Bytes = NDArray[np.uint8]

MARGIN = 4  # voxels around what is not 0
PERCENTILES = (0.5, 99.5)  # of what is not 0, made black and white
SAMPLED = 200_000  # voxels are enough to know them
FIRST_VOXEL = 352  # byte of a NIfTI file
COARSENINGS = ((1, 1), (2, 1), (4, 1), (4, 2), (4, 3), (4, 4))  # of greys and voxels, till it fits


@dataclass(frozen=True, eq=False)
class CaseVolumes:
    """Images (grey, 0 where the scan is), label and uncertainty, all on `grid` (RAS)."""

    grid: Grid
    images: Mapping[str, Bytes]
    label: Bytes | None
    uncertainty: Bytes | None
    step: int = 1  # 2 where only every second voxel was kept

    @cached_property
    def layers(self) -> dict[str, Bytes]:
        """Every volume by a name of ours, which is never a name from outside."""
        named = {f"image-{index}": image for index, image in enumerate(self.images.values())}
        overlays = {"label": self.label, "uncertainty": self.uncertainty}
        return named | {name: layer for name, layer in overlays.items() if layer is not None}

    def to_voxel(self, point_mm: NDArray[Any]) -> tuple[int, int, int]:
        """Return the voxel at `point_mm`, or the one nearest to it."""
        index = np.linalg.inv(self.grid.affine) @ [*point_mm, 1]
        inside = np.clip(np.round(index[:3]), 0, np.array(self.grid.shape) - 1).astype(int)
        return int(inside[0]), int(inside[1]), int(inside[2])


def read_volumes(
    images: Mapping[str, Path],
    label: Path | None,
    uncertainty: Path | None,
    channels: Mapping[str, int | None],
) -> tuple[CaseVolumes | None, dict[str, str]]:
    """Read what can be read, on the label's grid; also say, by name, why the rest cannot."""
    scans, unread = _read_images(images, channels)
    mask = None if label is None else _check_volume(read_scan(label))
    doubt = None if uncertainty is None else _check_volume(read_scan(uncertainty))
    if not scans:
        return None, unread
    reference = mask or next(iter(scans.values()))
    grid = reference.grid
    greys = {name: _on_grid(scan, grid, LINEAR) for name, scan in scans.items()}
    box = widen(find_box(list(greys.values())), grid.shape, MARGIN)
    volumes = CaseVolumes(
        grid.cut(box),
        {name: _to_grey(image[box]) for name, image in greys.items()},
        None if mask is None else _on_grid(mask, grid, NEAREST)[box].astype(np.uint8),
        None if doubt is None else _to_bytes(_on_grid(doubt, grid, LINEAR)[box]),
    )
    return volumes, unread


def _read_images(
    images: Mapping[str, Path], channels: Mapping[str, int | None]
) -> tuple[dict[str, Scan], dict[str, str]]:
    scans, unread = {}, {}
    for name, path in images.items():
        try:
            scans[name] = _check_volume(read_scan(path), channels.get(name))
        except DatasetError as error:
            unread[name] = str(error)
    return scans, unread


def _check_volume(scan: Scan, channel: int | None = None) -> Scan:
    if channel is not None and scan.voxels.ndim == 4 and channel < scan.voxels.shape[3]:
        scan = scan.take_channel(channel)
    if scan.voxels.ndim == 4 and scan.voxels.shape[3] == 1:
        scan = scan.take_channel(0)
    if scan.voxels.ndim != 3 or scan.voxels.dtype.kind not in "biuf":
        raise DatasetError(f"{scan.voxels.shape} of {scan.voxels.dtype} is not one grey volume")
    if not np.isfinite(scan.affine).all() or np.linalg.det(scan.affine[:3, :3]) == 0:
        raise DatasetError("its affine places no voxel")
    return scan


def _on_grid(scan: Scan, grid: Grid, order: int) -> NDArray[Any]:
    values = scan.values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        values = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
    return to_grid(values, scan.affine, grid, order)


def _to_grey(image: NDArray[Any]) -> Bytes:
    """From 1 (black) to 255 (white), 0 where the image is 0."""
    inside = image[image != 0]
    if not inside.size:
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(inside[:: inside.size // SAMPLED + 1], PERCENTILES)
    scale = 254 / (high - low) if high > low else 0.0
    grey = np.clip((image.astype(np.float32) - np.float32(low)) * np.float32(scale), 0, 254)
    return np.where(image != 0, grey.astype(np.uint8) + np.uint8(1), np.uint8(0))


def _to_bytes(uncertainty: NDArray[Any]) -> Bytes:
    """From 0 to 100, alike in all cases, to what the viewer takes."""
    return np.asarray(np.clip(uncertainty / 100, 0, 1) * 255).astype(np.uint8)


def pack_volumes(volumes: CaseVolumes, most_bytes: int) -> tuple[CaseVolumes, dict[str, str]]:
    """Return every layer as `.nii.gz` in base64, made coarser until all take `most_bytes`."""
    for coarser in _coarsen(volumes):
        packed = {name: _pack(layer, coarser.grid) for name, layer in coarser.layers.items()}
        if sum(map(len, packed.values())) <= most_bytes:
            break
    return coarser, packed


def _coarsen(volumes: CaseVolumes) -> Iterator[CaseVolumes]:
    for levels, step in COARSENINGS:
        every = (slice(None, None, step),) * 3
        images = {name: image[every] // levels * levels for name, image in volumes.images.items()}
        shape = next(iter(images.values())).shape
        grid = Grid(
            (shape[0], shape[1], shape[2]), volumes.grid.affine @ np.diag([step, step, step, 1])
        )
        label, doubt = volumes.label, volumes.uncertainty
        yield replace(
            volumes,
            grid=grid,
            images=images,
            label=None if label is None else label[every],
            uncertainty=None if doubt is None else doubt[every],
            step=step,
        )


def _pack(layer: Bytes, grid: Grid) -> str:
    header = nibabel.Nifti1Header()
    header.set_data_shape(layer.shape)
    header.set_data_dtype(np.uint8)
    header.set_zooms(grid.spacing_mm)
    header.set_sform(grid.affine, code=1)
    header["cal_max"] = 255  # or else the viewer seeks a brightest voxel of its own
    header["magic"], header["vox_offset"] = b"n+1", FIRST_VOXEL
    start = header.binaryblock.ljust(FIRST_VOXEL, b"\0")
    return b64encode(igzip.compress(start + layer.tobytes(order="F"), 3, mtime=0)).decode()
