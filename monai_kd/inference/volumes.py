"""Volumes in ml, in the voxels of the scan as it was given."""

import numpy as np
import numpy.typing as npt

from data_prep.scans import Scan
from data_prep.schemes import LabelScheme

MM3_PER_ML = 1000.0


def measure_foreground(scan: Scan) -> float:
    """Return the ml of what is not 0."""
    return np.count_nonzero(scan.voxels) * _voxel_ml(scan.affine)


def measure_volumes(
    label: npt.NDArray[np.integer], affine: npt.NDArray[np.float64], scheme: LabelScheme
) -> dict[str, float]:
    """Return the ml of each region of `scheme` in a label; the affine has the size of a voxel."""
    voxel_ml = _voxel_ml(affine)
    counts = {value: np.count_nonzero(label == value) for value in scheme.labels}
    return {
        region: sum(counts[value] for value in values) * voxel_ml
        for region, values in scheme.regions.items()
    }


def _voxel_ml(affine: npt.NDArray[np.float64]) -> float:
    return abs(float(np.linalg.det(affine[:3, :3]))) / MM3_PER_ML
