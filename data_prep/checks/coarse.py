"""The sequences of a case, averaged over blocks of voxels: enough to judge them, and fast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.checks.comparisons import Placed
from data_prep.scans.crop import find_box
from data_prep.scans.memory import in_memory_order, memory_order

CELLS = 60_000  # about as many are kept of the box that holds all that is not 0
LEAST_STEP = 2  # voxels: averaging over 8 takes most of the noise away
BRIGHTEST = 99.8  # per cent: what is brighter is cut off, for it may be an artefact
SEEK = 4  # voxels between those looked at to find the box

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CoarseCase:
    """Sequences of one grid, cut to what is not 0, in cells of `step` voxels a side.

    Axes run as the first sequence lies in memory: `axes` tells which of right, front, top each is,
    and `spacing_mm` is that of the cells along them. `masks` tell where the voxel in the middle of
    a cell is not 0. `voxels` are those that the cells were made of.
    """

    voxels: Mapping[str, npt.NDArray[Any]]
    images: Mapping[str, Image]
    masks: Mapping[str, Mask]
    axes: tuple[int, ...]
    spacing_mm: npt.NDArray[np.float64]
    step: int

    @property
    def inside(self) -> Mask:
        """Cells within the masks of all sequences and not at their surface."""
        shared: Mask = np.all(list(self.masks.values()), axis=0)
        return erode(shared)


def coarsen(images: Mapping[str, Placed]) -> CoarseCase:
    """Average sequences of one grid over blocks; a quarter of the voxels is enough for that."""
    first = next(iter(images.values()))
    order, _ = memory_order(first.values)
    views = in_memory_order(*(image.values for image in images.values()))
    box = _find_box(views)
    sides = [part.stop - part.start for part in box]
    step = max(LEAST_STEP, round((np.prod(sides) / CELLS) ** (1 / 3)))
    whole = tuple(
        slice(part.start, part.start + side // step * step)
        for part, side in zip(box, sides, strict=True)
    )
    middle = (slice(step // 2, None, step),) * 3
    cut = [view[whole] for view in views]
    return CoarseCase(
        voxels=dict(zip(images, cut, strict=True)),
        images={name: _average(view, step) for name, view in zip(images, cut, strict=True)},
        masks={name: view[middle] != 0 for name, view in zip(images, cut, strict=True)},
        axes=order,
        spacing_mm=first.grid.spacing_mm[list(order)] * step,
        step=step,
    )


def erode(mask: Mask) -> Mask:
    """Take away the cells that have a neighbour, or the border, outside."""
    inner = np.zeros_like(mask)
    core = mask[1:-1, 1:-1, 1:-1].copy()
    for axis in range(3):
        for start in (0, 2):
            moved = [slice(1, -1)] * 3
            moved[axis] = slice(start, start + core.shape[axis])
            core &= mask[tuple(moved)]
    inner[1:-1, 1:-1, 1:-1] = core
    return inner


def _find_box(views: tuple[npt.NDArray[Any], ...]) -> tuple[slice, ...]:
    seen = find_box([view[::SEEK, ::SEEK, ::SEEK] for view in views])
    return tuple(
        slice(max(0, (part.start - 1) * SEEK), min(side, part.stop * SEEK + 1))
        for part, side in zip(seen, views[0].shape, strict=True)
    )


def _average(view: npt.NDArray[Any], step: int) -> Image:
    """Mean over whole rows of a block, but only two of its rows in each other direction."""
    rows = (0, step // 2)
    summed = sum(view[i::step, j::step].astype(np.float32) for i in rows for j in rows)
    along = np.asarray(summed, dtype=np.float32)
    cells = sum(along[:, :, k::step] for k in range(step))
    mean = np.asarray(cells, dtype=np.float32) / np.float32(step * len(rows) ** 2)
    brightest = np.float32(np.percentile(mean[::2, ::2, ::2], BRIGHTEST))
    return np.asarray(np.minimum(mean, brightest), dtype=np.float32)
