"""A healthy brain: which voxel holds how much fluid, grey and white matter, vessel and plexus."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.phantom.fields import (
    Shape,
    Volume,
    coordinates,
    ellipsoid_depth,
    shape_of,
    sheet_distance,
    smooth_field,
    soft_inside,
)

CORTEX = 0.07  # thickness of the grey ribbon: 2.2 voxels at size 64
FLUID = 0.012  # half width of an open sulcus
GYRUS = 0.125  # spacing of the noise that folds the cortex
FOLIA = 7  # of the cerebellum, per unit
VESSEL = 0.022  # radius of a vessel


@dataclass(frozen=True)
class Anatomy:
    """Memberships 0..1 of each voxel; fluid, grey and white add up to one inside the brain."""

    brain: npt.NDArray[np.bool_]
    fluid: Volume
    grey: Volume
    white: Volume
    ventricle: Volume
    vessel: Volume
    plexus: Volume
    depth: Volume
    ventricle_depth: Volume


def grow_anatomy(rng: np.random.Generator, shape: Shape) -> Anatomy:
    """Build a brain of its own shape, folds and ventricles that fills `shape`."""
    point = [axis + 0.03 * smooth_field(rng, shape, 0.6) for axis in coordinates(shape)]
    sided = [np.abs(point[0]), point[1], point[2]]
    depth, pial = _surfaces(rng, point, sided)
    ventricle_depth = _ventricle_depth(sided, swelling=rng.uniform(0.85, 1.35))
    ventricle = soft_inside(ventricle_depth)
    fluid = np.maximum(soft_inside(FLUID - pial), ventricle)
    nuclei = soft_inside(np.minimum(_nuclei_depth(sided), 0.02 - ventricle_depth))
    grey = np.minimum(np.maximum(soft_inside(FLUID + CORTEX - pial), nuclei), 1 - fluid)
    plexus = soft_inside(np.minimum(_plexus_depth(sided), ventricle_depth))
    return Anatomy(
        brain=depth > 0,
        fluid=fluid,
        grey=grey,
        white=1 - fluid - grey,
        ventricle=ventricle,
        vessel=_vessels(rng, shape, depth, point),
        plexus=plexus,
        depth=depth,
        ventricle_depth=ventricle_depth,
    )


def _surfaces(
    rng: np.random.Generator, point: Sequence[Volume], sided: Sequence[Volume]
) -> tuple[Volume, Volume]:
    """Depth below the hull, and depth below the folded surface, positive inside."""
    x, y, z = point
    narrowed = [sided[0] / (1 + 0.14 * y), y, z]
    upper = np.minimum(ellipsoid_depth(narrowed, (0, 0, 0), (0.72, 0.92, 0.78)), z + 0.3 - 0.12 * y)
    temporal = ellipsoid_depth(sided, (0.4, -0.14, -0.24), (0.25, 0.48, 0.27))
    cerebrum = np.maximum(upper, temporal)
    cerebellum = ellipsoid_depth(sided, (0.0, 0.46, -0.44), (0.56, 0.4, 0.3))
    stem = ellipsoid_depth(point, (0.0, 0.12, -0.48), (0.15, 0.15, 0.4))
    sulci = sheet_distance(smooth_field(rng, shape_of(x), GYRUS))
    folia = np.abs((z + 0.4 * y) * FOLIA % 1 - 0.5) / FOLIA
    fissure = sided[0] + _beyond(ellipsoid_depth(sided, (0, 0, -0.05), (0.4, 0.6, 0.36)), 0.0)
    folded = _fold(np.minimum(upper, fissure), sulci, rng.uniform(0.2, 0.26))
    pial = np.maximum(
        np.maximum(folded, _fold(temporal, sulci, 0.2)),
        np.maximum(_fold(cerebellum, folia, 0.15), stem + CORTEX / 2),
    )
    hull = np.maximum(np.maximum(cerebrum, cerebellum), stem)
    return hull, pial


def _fold(surface: Volume, sheets: Volume, reach: float) -> Volume:
    """Let the surface dip along the sheets, down to `reach` below it."""
    return np.minimum(surface, sheets + _beyond(surface, reach))


def _beyond(depth: Volume, reach: float) -> Volume:
    excess: Volume = np.maximum(depth - reach, 0)
    return excess


def _ventricle_depth(sided: Sequence[Volume], *, swelling: float) -> Volume:
    x, y, z = sided
    curved = [x - 0.3 * y * y, y, z + 0.35 * y * y]
    body = ellipsoid_depth(curved, (0.09, -0.02, 0.1), (0.065 * swelling, 0.4, 0.1 * swelling))
    horn = ellipsoid_depth(sided, (0.27, 0.3, -0.03), (0.06 * swelling, 0.2, 0.08 * swelling))
    third = ellipsoid_depth(sided, (0.0, 0.04, -0.08), (0.028 * swelling, 0.16, 0.12))
    fourth = ellipsoid_depth(sided, (0.0, 0.28, -0.42), (0.07, 0.05, 0.08))
    return np.maximum(np.maximum(body, horn), np.maximum(third, fourth))


def _nuclei_depth(sided: Sequence[Volume]) -> Volume:
    thalamus = ellipsoid_depth(sided, (0.13, 0.1, -0.03), (0.1, 0.15, 0.1))
    caudate = ellipsoid_depth(sided, (0.17, -0.22, 0.06), (0.065, 0.14, 0.1))
    putamen = ellipsoid_depth(sided, (0.31, -0.06, -0.02), (0.07, 0.2, 0.13))
    return np.maximum(np.maximum(thalamus, caudate), putamen)


def _plexus_depth(sided: Sequence[Volume]) -> Volume:
    atrium = ellipsoid_depth(sided, (0.25, 0.24, -0.02), (0.06, 0.1, 0.06))
    body = ellipsoid_depth(sided, (0.09, 0.06, 0.06), (0.035, 0.2, 0.04))
    return np.maximum(atrium, body)


def _vessels(
    rng: np.random.Generator, shape: Shape, depth: Volume, point: Sequence[Volume]
) -> Volume:
    """Curves where two random sheets meet, near the surface, and the sinus along the midline."""
    first = sheet_distance(smooth_field(rng, shape, 0.24))
    second = sheet_distance(smooth_field(rng, shape, 0.24))
    branches = np.minimum(VESSEL - np.sqrt(first * first + second * second), 0.3 - depth)
    x, _, z = point
    height = np.maximum(np.abs(depth - 0.03), np.maximum(-z - 0.05, 0))
    sinus = 0.045 - np.sqrt(x * x + height * height)
    return soft_inside(np.maximum(branches, sinus))
