"""Regions on the network's grid to one label on the scan's own voxels."""

from collections.abc import Mapping

import numpy as np
import scipy
from numpy.typing import NDArray

from data_prep.scans import Scan, restore
from data_prep.scans.preparation import move_back, put_back
from data_prep.schemes import LabelScheme, part_of_tumour
from monai_kd.inference.segmenting.preparation import Prepared

Floats = NDArray[np.float32]
Masks = NDArray[np.bool_]
Labels = NDArray[np.uint8]


def restore_label(
    prepared: Prepared,
    logits: Floats,
    regions: Mapping[str, Masks],
    *,
    reference: Scan,
    scheme: LabelScheme,
) -> Labels:
    """Bring regions to the reference scan's voxels, as they are stored; 0 beyond the brain.

    `logits` and `regions`, in one order, lie on the grid and in the box of `prepared`. Where
    voxels have to move, probabilities are interpolated and then cut: masks keep smooth borders.
    """
    grid, box, masks = prepared.grid, prepared.box, dict(regions)
    if not reference.grid.is_same(grid):
        for name, logit in zip(regions, logits, strict=True):
            chance = scipy.special.expit(logit)
            moved, box = move_back(chance, reference, grid=grid, box=prepared.box)
            masks[name] = moved >= 0.5
    return put_back(_merge(masks, scheme), reference, box)


def restore_chances(chances: Floats, prepared: Prepared, reference: Scan) -> Floats:
    """Bring numbers from 0 to 1, in the box of `prepared`, to the scan's voxels; 0 beyond it."""
    return restore(chances, reference, grid=prepared.grid, box=prepared.box)


def _merge(regions: Mapping[str, Masks], scheme: LabelScheme) -> Labels:
    """One label of overlapping regions; the inner one wins, ET over TC over WT."""
    values = {part_of_tumour(name): value for value, name in scheme.labels.items()}
    label = regions["WT"].view(np.uint8) * np.uint8(values["oedema"])
    np.copyto(label, np.uint8(values["core"]), where=regions["TC"])
    np.copyto(label, np.uint8(values["enhancing"]), where=regions["ET"])
    return label
