"""A case to the image that the network reads: prepared, normalised, padded, within the memory."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from data_prep.scans import Grid, Scan, measure, normalise, prepare
from data_prep.scans.crop import Box
from data_prep.scans.memory import in_memory_order
from monai_kd.inference.budget import check_need

Triple = tuple[int, int, int]
LARGEST = 2  # times a window, of an image that is segmented in windows without padding
MOVED_BYTES, KEPT_BYTES = 40, 16  # per voxel of the grid, while scans are brought to it and after
FILLED_BYTES = 50  # per voxel of the box: the network's image, and what normalises it


@dataclass(frozen=True, eq=False)
class Prepared:
    """`image` (C X Y Z) holds the voxels of `grid` that lie in `box`, at `inner`, and 0 around.

    With a `window` the network keeps to windows of that size, and is given no more.
    """

    image: NDArray[np.float32]
    grid: Grid
    box: Box
    inner: Box
    window: Triple | None = None


def prepare_image(
    scans: Mapping[str, Scan],
    *,
    modalities: Sequence[str],
    spacing_mm: tuple[float, ...] | None,
    divisor: int,
    window: Triple | None = None,
    threads: int = 1,
    most_bytes: int | None = None,
    make_room: Callable[[], None] | None = None,
) -> Prepared:
    """Do what `bundles/preprocessing.yaml` does; channels of absent modalities are 0.

    The grid is that of the first scan, in the order of the modalities. The image is padded to
    multiples of `divisor`, or to a `window` if it is hardly larger, split as MONAI's sliding window
    splits it. A grid for which `most_bytes` do not suffice is refused; before much memory is taken,
    `make_room` is called.
    """

    def check_grid(grid: Grid) -> None:
        check_need(_describe(grid), MOVED_BYTES * prod(grid.shape), most_bytes)
        if make_room is not None:
            make_room()

    present = {name: scans[name] for name in modalities if name in scans}
    cut = prepare(present, spacing_mm=spacing_mm, threads=threads, before_moving=check_grid)
    kept = KEPT_BYTES * prod(cut.grid.shape) * bool(cut.moved)
    filled = FILLED_BYTES * prod(part.stop - part.start for part in cut.box)
    check_need(_describe(cut.grid), kept + filled, most_bytes)
    sides = [part.stop - part.start for part in cut.box]
    padded = [-(-side // divisor) * divisor for side in sides]
    if window and any(s > LARGEST * edge for s, edge in zip(sides, window, strict=True)):
        window = None
    if window:
        padded = [max(side, edge) for side, edge in zip(sides, window, strict=True)]
    image, inner = _make_buffer(len(modalities), sides, padded)

    def fill(name: str) -> None:
        target = image[modalities.index(name)][inner]
        block, view = in_memory_order(cut.volumes[name], target)
        normalise(block, measure(block), view)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(fill, present))
    return Prepared(image, cut.grid, cut.box, inner, window)


def _describe(grid: Grid) -> str:
    return f"its grid of {' x '.join(map(str, grid.shape))} voxels"


def _make_buffer(
    channels: int, sides: Sequence[int], padded: Sequence[int]
) -> tuple[NDArray[np.float32], Box]:
    starts = [(whole - side) // 2 for whole, side in zip(padded, sides, strict=True)]
    x, y, z = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return np.zeros((channels, *padded), dtype=np.float32), (x, y, z)
