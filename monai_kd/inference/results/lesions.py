"""Connected parts of each output as objects that a person can find again in the scan."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy
from nibabel.affines import apply_affine

from data_prep.scans.crop import find_box
from data_prep.scans.grid import Grid

SPECK_ML = 0.05  # 50 voxels of 1 mm: BraTS 2023 leaves out what is smaller when it counts lesions
THREADS = 2  # most of the time is spent without the interpreter
ROUNDING = 1e-3  # voxels: an edge that lies on another is that one
NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)  # 26: corners touch

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, ...]
Sides = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SidesMm = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Lesion:
    """One connected part of an output, which is called `region` in the record.

    `box_voxels` holds first and last+1 index along each axis of the mask's file; `box_mm` what the
    lesion covers in the scanner's space, edge to edge; `confidence` the mean probability inside.
    """

    region: str
    box_voxels: Sides
    box_mm: SidesMm
    centre_mm: tuple[float, float, float]
    volume_ml: float
    confidence: float | None


def find_lesions(
    masks: Mapping[str, Mask],
    grid: Grid,
    stored: Grid | None = None,
    *,
    measure_confidence: Callable[[str, Box, Mask], float] | None = None,
) -> list[Lesion]:
    """List the lesions of all outputs, one after the other, the largest first, specks left out.

    `grid` is that of the masks, `stored` that of the mask's file, in its own order of axes.
    `measure_confidence` returns the mean probability of an output in a part of a box.
    """

    def find(output: str) -> list[Lesion]:
        lesions = [
            Lesion(
                output,
                *_place(box, inside, grid, stored or grid),
                volume_ml,
                measure_confidence and measure_confidence(output, box, inside),
            )
            for box, inside, volume_ml in _find_parts(masks[output], grid)
        ]
        return sorted(lesions, key=lambda lesion: -lesion.volume_ml)

    with ThreadPoolExecutor(THREADS) as pool:
        return [lesion for lesions in pool.map(find, masks) for lesion in lesions]


def _find_parts(mask: Mask, grid: Grid) -> Iterator[tuple[Box, Mask, float]]:
    """Each connected part that is no speck: its box, its voxels in there, and its volume."""
    if not mask.any():
        return
    whole = find_box([mask])  # the smallest box: what is labelled beyond it would only take time
    parts, _ = scipy.ndimage.label(mask[whole], NEIGHBOURS)
    voxel_ml = abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
    for number, own in enumerate(scipy.ndimage.find_objects(parts), start=1):
        inside = parts[own] == number
        volume_ml = float(np.count_nonzero(inside)) * voxel_ml
        if volume_ml >= SPECK_ML:
            moved = zip(own, whole, strict=True)
            yield (
                tuple(slice(s.start + w.start, s.stop + w.start) for s, w in moved),
                inside,
                volume_ml,
            )


def _place(
    box: Box, inside: Mask, grid: Grid, stored: Grid
) -> tuple[Sides, SidesMm, tuple[float, float, float]]:
    """The box in voxels of the mask's file and in mm, and the centre in mm."""
    low, high = (np.array([getattr(side, end) for side in box]) for end in ("start", "stop"))
    edges = np.stack(np.meshgrid(*zip(low - 0.5, high - 0.5, strict=True), indexing="ij"), axis=-1)
    corners = apply_affine(grid.affine, edges.reshape(-1, 3))
    middle = np.mean(np.nonzero(inside), axis=1) + low
    x, y, z = (float(place) for place in apply_affine(grid.affine, middle))
    first, second, third = _to_voxels(corners, stored)
    across, along, up = zip(corners.min(axis=0).tolist(), corners.max(axis=0).tolist(), strict=True)
    return (first, second, third), (across, along, up), (x, y, z)


def _to_voxels(corners_mm: npt.NDArray[np.float64], stored: Grid) -> Sides:
    """The smallest box of whole voxels that holds the corners of another, edge to edge."""
    edges = apply_affine(np.linalg.inv(stored.affine), corners_mm) + 0.5
    low = np.clip(np.floor(edges.min(axis=0) + ROUNDING), 0, stored.shape).astype(int).tolist()
    high = np.clip(np.ceil(edges.max(axis=0) - ROUNDING), 0, stored.shape).astype(int).tolist()
    first, second, third = zip(low, high, strict=True)
    return first, second, third
