"""Connected parts of each region as objects that a person can find again in the scan."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

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

Sides = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SidesMm = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Lesion:
    """One connected part of a region.

    `box_voxels` holds first and last+1 index along each axis of the mask's file; `box_mm` what the
    lesion covers in the scanner's space, edge to edge; `confidence` the mean probability inside.
    """

    region: str
    box_voxels: Sides
    box_mm: SidesMm
    centre_mm: tuple[float, float, float]
    volume_ml: float
    confidence: float | None

    def as_dict(self) -> dict[str, object]:
        """As the record of a case holds it."""
        return asdict(self)


def find_lesions(
    regions: Mapping[str, npt.NDArray[np.bool_]],
    grid: Grid,
    stored: Grid | None = None,
    *,
    logits: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> list[Lesion]:
    """List the lesions of all regions, region by region, the largest first; specks are left out.

    `grid` is that of the regions, `stored` that of the mask's file, in its own order of axes.
    """

    def find(region: str) -> list[Lesion]:
        own = None if logits is None else logits[region]
        parts = _find_parts(region, regions[region], grid, stored or grid, own)
        return sorted(parts, key=lambda part: -part.volume_ml)

    with ThreadPoolExecutor(THREADS) as pool:
        return [lesion for parts in pool.map(find, regions) for lesion in parts]


def _find_parts(
    region: str,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    stored: Grid,
    logits: npt.NDArray[np.float32] | None,
) -> list[Lesion]:
    if not mask.any():
        return []
    whole = find_box([mask])  # the smallest box: what is labelled beyond it would only take time
    logits = None if logits is None else logits[whole]
    grid = grid.cut(whole)
    parts, _ = scipy.ndimage.label(mask[whole], NEIGHBOURS)
    voxel_ml = abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
    lesions = []
    for number, box in enumerate(scipy.ndimage.find_objects(parts), start=1):
        inside = parts[box] == number
        volume_ml = float(np.count_nonzero(inside)) * voxel_ml
        if volume_ml < SPECK_ML:
            continue
        confidence = (
            None if logits is None else float(scipy.special.expit(logits[box][inside]).mean())
        )
        lesions.append(_measure(region, box, inside, grid, stored, volume_ml, confidence))
    return lesions


def _measure(
    region: str,
    box: tuple[slice, ...],
    inside: npt.NDArray[np.bool_],
    grid: Grid,
    stored: Grid,
    volume_ml: float,
    confidence: float | None,
) -> Lesion:
    low, high = (np.array([getattr(side, end) for side in box]) for end in ("start", "stop"))
    edges = np.stack(np.meshgrid(*zip(low - 0.5, high - 0.5, strict=True), indexing="ij"), axis=-1)
    corners = apply_affine(grid.affine, edges.reshape(-1, 3))
    middle = np.mean(np.nonzero(inside), axis=1) + low
    x, y, z = (float(place) for place in apply_affine(grid.affine, middle))
    first, second, third = _to_voxels(corners, stored)
    across, along, up = zip(corners.min(axis=0).tolist(), corners.max(axis=0).tolist(), strict=True)
    return Lesion(
        region, (first, second, third), (across, along, up), (x, y, z), volume_ml, confidence
    )


def _to_voxels(corners_mm: npt.NDArray[np.float64], stored: Grid) -> Sides:
    """The smallest box of whole voxels that holds the corners of another, edge to edge."""
    edges = apply_affine(np.linalg.inv(stored.affine), corners_mm) + 0.5
    low = np.clip(np.floor(edges.min(axis=0) + ROUNDING), 0, stored.shape).astype(int).tolist()
    high = np.clip(np.ceil(edges.max(axis=0) - ROUNDING), 0, stored.shape).astype(int).tolist()
    first, second, third = zip(low, high, strict=True)
    return first, second, third
