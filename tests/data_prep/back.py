"""Labels on a grid back to the voxels of a scan as it is stored: 0 beyond the grid."""

import numpy as np

from data_prep.scans.grid import grid_of, turn_to_ras
from data_prep.scans.resampling import NEAREST, to_grid


def from_grid(array, grid, shape, affine):
    original = np.zeros(shape, array.dtype)
    turned = turn_to_ras(original, affine)  # a view: what is written there, is turned back
    turned[...] = to_grid(array, grid.affine, grid_of(shape, affine), NEAREST)
    return original
