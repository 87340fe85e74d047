"""An answer on the network's grid to one label on the scan's own voxels."""

import numpy as np

from data_prep.scans.grid import Grid, turn_to_ras
from data_prep.scans.resampling import index_matrix, resample_linear
from data_prep.scans.scan import Scan
from monai_kd.inference.segmenting.answer import (
    HALF,
    Floats,
    Labels,
    Masks,
    draw_label,
    find_masks,
    find_probabilities,
)
from monai_kd.inference.segmenting.preparation import Box, Prepared
from monai_kd.outputs import Task


def restore_label(
    prepared: Prepared, logits: Floats, masks: dict[str, Masks], *, reference: Scan, task: Task
) -> Labels:
    """Bring masks to the reference scan's voxels, as they are stored; 0 beyond the box.

    `logits`, and the `masks` that they make, lie on the grid and in the box of `prepared`. Where
    voxels have to move, probabilities are interpolated and then cut: masks keep smooth borders.
    """
    label = np.zeros(reference.voxels.shape, dtype=np.uint8, order="F")
    box, target = _aim(prepared, reference)
    if target is not None:
        moved = (_interpolate(p, prepared, target) for p in find_probabilities(task, logits))
        masks = find_masks(task, moved, above=HALF)
    turned = turn_to_ras(label, reference.affine)  # a view: what is written there, is turned back
    turned[box] = draw_label(task, masks)
    return label


def restore_chances(chances: Floats, prepared: Prepared, reference: Scan) -> Floats:
    """Bring numbers from 0 to 1, in the box of `prepared`, to the scan's voxels; 0 beyond it."""
    restored = np.zeros(reference.voxels.shape, dtype=np.float32, order="F")
    box, target = _aim(prepared, reference)
    if target is not None:
        chances = _interpolate(chances, prepared, target)
    turn_to_ras(restored, reference.affine)[box] = chances
    return restored


def _aim(prepared: Prepared, reference: Scan) -> tuple[Box, Grid | None]:
    """Where in the turned scan the box lies, and on which grid; None where no voxel has to move."""
    own = reference.grid
    if own.is_same(prepared.grid):
        return prepared.box, None
    box = _reach(prepared, own)
    return box, own.cut(box)


def _reach(prepared: Prepared, own: Grid) -> Box:
    """The voxels of `own` that lie within a voxel of the network's grid around its box."""
    cut = prepared.grid.cut(prepared.box)
    corners = Grid((cut.shape[0] + 2, cut.shape[1] + 2, cut.shape[2] + 2), cut.affine).corners_mm
    corners = corners - cut.affine[:3, :3].sum(axis=1)
    places = (corners - own.affine[:3, 3]) @ np.linalg.inv(own.affine[:3, :3]).T
    low, high = np.floor(places.min(axis=0)), np.ceil(places.max(axis=0)) + 1
    edges = [
        _at_edge(part, side) for part, side in zip(prepared.box, prepared.grid.shape, strict=True)
    ]
    sides = []
    for axis, side in enumerate(own.shape):
        start = 0 if edges[axis][0] else int(np.clip(low[axis], 0, side - 1))
        stop = side if edges[axis][1] else int(np.clip(high[axis], start + 1, side))
        sides.append(slice(start, stop))
    return sides[0], sides[1], sides[2]


def _interpolate(chances: Floats, prepared: Prepared, target: Grid) -> Floats:
    """Read probabilities where the voxels of `target` lie; beyond the box they are 0."""
    edges = [
        _at_edge(part, side) for part, side in zip(prepared.box, prepared.grid.shape, strict=True)
    ]
    widths = [(int(not low), int(not high)) for low, high in edges]
    padded = np.pad(chances, widths)
    matrix = index_matrix(prepared.grid.cut(prepared.box), target)
    matrix[:3, 3] += [low for low, _ in widths]
    return resample_linear(padded, matrix, target.shape)


def _at_edge(part: slice, side: int) -> tuple[bool, bool]:
    """Whether the box begins and ends where the grid does: there, its values go on for ever."""
    return part.start == 0, part.stop == side
