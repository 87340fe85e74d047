"""An answer on the network's grid to one label on the scan's own voxels."""

from data_prep.scans import Scan
from data_prep.scans.preparation import move_back, put_back
from monai_kd.inference.segmenting.answer import (
    HALF,
    Floats,
    Labels,
    Masks,
    draw_label,
    find_masks,
    find_probabilities,
)
from monai_kd.inference.segmenting.preparation import Prepared
from monai_kd.outputs import Task


def restore_label(
    prepared: Prepared, logits: Floats, masks: dict[str, Masks], *, reference: Scan, task: Task
) -> Labels:
    """Bring masks to the reference scan's voxels, as they are stored; 0 beyond the box.

    `logits`, and the `masks` that they make, lie on the grid and in the box of `prepared`. Where
    voxels have to move, probabilities are interpolated and then cut: masks keep smooth borders.
    """
    box = prepared.box

    def move(values: Floats) -> Floats:
        nonlocal box
        moved, box = move_back(values, reference, grid=prepared.grid, box=prepared.box)
        return moved

    if not reference.grid.is_same(prepared.grid):
        masks = find_masks(task, map(move, find_probabilities(task, logits)), above=HALF)
    return put_back(draw_label(task, masks), reference, box)
