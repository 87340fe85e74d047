"""Slices through a point of a case as PNG: for print, and where a browser cannot draw in 3D."""

import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_kd.report.case_volumes import Bytes, CaseVolumes

SIDE = 360  # pixels, of the longest side
RIM = 2  # pixels, of the outlines
PLANES = {"axial": 2, "coronal": 1, "sagittal": 0}  # the axis that a plane stands upon
LINEAR = 1


def draw_slices(
    volumes: CaseVolumes, voxel: tuple[int, int, int], colours: Mapping[int, str]
) -> dict[str, dict[str, str]]:
    """Return a PNG in base64 by plane and sequence, the parts of the label outlined.

    As radiologists hang them: the patient's right, or front, is on the left.
    """
    palette = _make_palette(colours)
    drawn: dict[str, dict[str, str]] = {}
    for plane in PLANES:
        outline = _outline(volumes, plane, voxel, colours)
        greys = {
            name: _enlarge(_cut(image, plane, voxel), volumes, plane)
            for name, image in volumes.images.items()
        }
        drawn[plane] = {
            name: _encode_png(_lay(outline, grey, 256 - len(colours)), palette)
            for name, grey in greys.items()
        }
    return drawn


def _cut(volume: Bytes, plane: str, voxel: tuple[int, int, int]) -> Bytes:
    axis = PLANES[plane]
    return np.moveaxis(volume, axis, 0)[voxel[axis], ::-1, ::-1].T


def _enlarge(picture: Bytes, volumes: CaseVolumes, plane: str) -> Bytes:
    """To `SIDE` pixels along the longest side of the volume, as many per mm both ways."""
    sizes_mm = volumes.grid.spacing_mm * volumes.grid.shape
    across, up = np.delete(sizes_mm, PLANES[plane])
    pixels = np.maximum(1, np.round(np.array([up, across]) * SIDE / sizes_mm.max()))
    zoomed = ndimage.zoom(
        picture, pixels / picture.shape, order=LINEAR, mode="nearest", grid_mode=True
    )
    return np.asarray(zoomed)


def _outline(
    volumes: CaseVolumes, plane: str, voxel: tuple[int, int, int], colours: Mapping[int, str]
) -> NDArray[np.intp] | int:
    """0 where nothing is outlined, else which colour, from 1 on."""
    outline: NDArray[np.intp] | int = 0
    if volumes.label is None:
        return outline
    label = _cut(volumes.label, plane, voxel)
    for place, value in enumerate(colours, start=1):
        alone = np.where(label == value, np.uint8(255), np.uint8(0))
        inside = _enlarge(alone, volumes, plane) > 127
        rim = inside & ~ndimage.binary_erosion(inside, iterations=RIM)
        outline = np.where(rim, place, outline)
    return outline


def _lay(outline: NDArray[np.intp] | int, grey: Bytes, greys: int) -> Bytes:
    """Indices of the palette: greys first, then the colours."""
    scaled = grey.astype(np.uint16) * greys // 256
    return np.where(outline, np.add(outline, greys - 1), scaled).astype(np.uint8)


def _make_palette(colours: Mapping[int, str]) -> bytes:
    greys = np.linspace(0, 255, 256 - len(colours)).round().astype(np.uint8)
    inks = b"".join(bytes.fromhex(colour.removeprefix("#")) for colour in colours.values())
    return np.repeat(greys, 3).tobytes() + inks


def _encode_png(pixels: Bytes, palette: bytes) -> str:
    height, width = pixels.shape
    rows = np.pad(pixels, ((0, 0), (1, 0))).tobytes()  # each row begins with its filter, none
    parts = {
        b"IHDR": struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0),
        b"PLTE": palette,
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    chunks = (_chunk(kind, content) for kind, content in parts.items())
    return b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))
