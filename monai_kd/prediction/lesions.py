"""Connected parts of each region as objects that a person can find again in the scan."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from nibabel.affines import apply_affine
from scipy import ndimage

from data_prep.crop import find_brain
from data_prep.grid import Grid

SPECK_ML = 0.05  # 50 voxels of 1 mm: BraTS 2023 leaves out what is smaller when it counts lesions
NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)  # 26: corners touch

Sides = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SidesMm = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Lesion:
    """One connected part of a region.

    `box_voxels` holds first and last+1 index along each axis of the region's grid; `box_mm` what
    that box covers in the scanner's space, edge to edge; `confidence` the mean probability inside.
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
    probabilities: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> list[Lesion]:
    """List the lesions of all regions, region by region, the largest first; specks are left out."""
    found = []
    for region, mask in regions.items():
        chances = None if probabilities is None else probabilities[region]
        parts = _find_parts(region, mask, grid, chances)
        found += sorted(parts, key=lambda part: -part.volume_ml)
    return found


def _find_parts(
    region: str,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    chances: npt.NDArray[np.float32] | None,
) -> list[Lesion]:
    if not mask.any():
        return []
    whole = find_brain([mask])  # the smallest box: what is labelled beyond it would only take time
    chances = None if chances is None else chances[whole]
    grid, start = grid.cut(whole), np.array([side.start for side in whole])
    parts, _ = ndimage.label(mask[whole], NEIGHBOURS)
    voxel_ml = abs(float(np.linalg.det(grid.affine[:3, :3]))) / 1000
    lesions = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[box] == number
        volume_ml = float(np.count_nonzero(inside)) * voxel_ml
        if volume_ml < SPECK_ML:
            continue
        confidence = None if chances is None else float(chances[box][inside].mean())
        lesions.append(_measure(region, box, inside, grid, start, volume_ml, confidence))
    return lesions


def _measure(
    region: str,
    box: tuple[slice, ...],
    inside: npt.NDArray[np.bool_],
    grid: Grid,
    start: npt.NDArray[np.int64],
    volume_ml: float,
    confidence: float | None,
) -> Lesion:
    low, high = (np.array([getattr(side, end) for side in box]) for end in ("start", "stop"))
    edges = np.stack(np.meshgrid(*zip(low - 0.5, high - 0.5, strict=True), indexing="ij"), axis=-1)
    corners = apply_affine(grid.affine, edges.reshape(-1, 3))
    middle = np.mean(np.nonzero(inside), axis=1) + low
    x, y, z = (float(place) for place in apply_affine(grid.affine, middle))
    first, second, third = zip((low + start).tolist(), (high + start).tolist(), strict=True)
    across, along, up = zip(corners.min(axis=0).tolist(), corners.max(axis=0).tolist(), strict=True)
    return Lesion(
        region, (first, second, third), (across, along, up), (x, y, z), volume_ml, confidence
    )
