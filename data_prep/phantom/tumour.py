"""A glioma and what looks like one: core, rim and oedema, and lesions that bear no label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from data_prep.phantom.anatomy import Anatomy
from data_prep.phantom.fields import (
    Point,
    Shape,
    Volume,
    coordinates,
    shape_of,
    smooth_field,
    soft_inside,
    voxel_size,
)

RADIUS = (0.225, 0.285)  # of the core: the whole tumour then takes 3 to 10 % of the brain
RIM = (0.42, 0.58)  # enhancing rim as a share of the radius: 3 to 5 voxels at size 64
CORE_SHARE = (0.36, 0.52)  # of the whole tumour
SPREAD_STEP = 0.07  # how far oedema creeps at a time; less than a ventricle is wide
SPREAD_STEPS = 7
EDGE_GAIN = 1.5  # of the ramp over which oedema fades out: slow, as on FLAIR


@dataclass(frozen=True)
class Tumour:
    """Memberships 0..1 of each voxel, and the BraTS label 0, 1, 2 or 4 that they amount to."""

    oedema: Volume
    core: Volume
    enhancing: Volume
    lesions: Volume
    label: npt.NDArray[np.int16]


def grow_tumour(rng: np.random.Generator, anatomy: Anatomy, *, enhancing: bool) -> Tumour:
    """Seed a tumour in the white matter of one hemisphere and let oedema spread along it."""
    shape = shape_of(anatomy.white)
    radius = rng.uniform(*RADIUS)
    depth = core_depth(rng, shape, choose_centre(rng, anatomy), radius)
    tissue = soft_inside(anatomy.depth) * (1 - anatomy.ventricle)
    core = soft_inside(depth) * tissue
    rim = radius * rng.uniform(*RIM) * (1 + 0.2 * smooth_field(rng, shape, 0.12))
    rim_share = core * (1 - soft_inside(depth - rim)) * enhancing
    oedema = spread_oedema(rng, anatomy, core)
    lesions = white_matter_lesions(rng, anatomy) * (1 - np.maximum(core, oedema))
    label = label_regions(anatomy, core=core, rim=rim_share, oedema=oedema)
    return Tumour(oedema, core, rim_share, lesions, label)


def label_regions(
    anatomy: Anatomy, *, core: Volume, rim: Volume, oedema: Volume
) -> npt.NDArray[np.int16]:
    """BraTS label of each voxel: 4 the rim, 1 the rest of the core, 2 oedema."""
    label = np.where(core >= 0.5, np.where(rim >= 0.5 * core, 4, 1), 2 * (oedema >= 0.5))
    return (label * anatomy.brain).astype(np.int16)


def choose_centre(
    rng: np.random.Generator, anatomy: Anatomy, *, side: int = 0, off_midline: float = 0.15
) -> Point:
    """Take the first of many random points that lies deep in the white matter of the cerebrum.

    `side` is 1 or -1 for the hemisphere of that sign of x, 0 for either.
    """
    shape = shape_of(anatomy.white)
    candidates = rng.uniform((-0.6, -0.7, -0.1), (0.6, 0.7, 0.55), size=(512, 3))
    if side:
        candidates[:, 0] = side * np.abs(candidates[:, 0])
    index = np.rint(candidates / voxel_size(shape) + (np.array(shape) - 1) / 2).astype(int)
    at = tuple(index.T)
    apart = np.abs(candidates[:, 0]) > off_midline
    fits = (anatomy.white[at] > 0.5) & (anatomy.depth[at] > 0.2) & apart
    x, y, z = (float(value) for value in candidates[np.argmax(fits)])
    return x, y, z


def core_depth(rng: np.random.Generator, shape: Shape, centre: Point, radius: float) -> Volume:
    """Depth below the surface of a bumpy ball, positive inside."""
    x, y, z = (axis - c for axis, c in zip(coordinates(shape), centre, strict=True))
    bumps = 0.6 * smooth_field(rng, shape, 0.16) + 0.5 * smooth_field(rng, shape, 0.09)
    depth: Volume = radius * (1 + 0.25 * bumps) - np.sqrt(x * x + y * y + z * z)
    return depth


def spread_oedema(rng: np.random.Generator, anatomy: Anatomy, core: Volume) -> Volume:
    """Creep through white matter, hardly into grey and never through fluid, to a drawn volume."""
    shape = shape_of(core)
    ease = np.clip(anatomy.white + 0.15 * anatomy.grey, 0, 1) * (1 - anatomy.fluid) * anatomy.brain
    ease = ease * np.clip(0.8 + 0.2 * smooth_field(rng, shape, 0.16), 0.3, 1)
    width = 2 * max(1, round(SPREAD_STEP / voxel_size(shape))) + 1
    reached = core
    for _ in range(SPREAD_STEPS):
        reached = np.maximum(reached, ease * ndimage.uniform_filter(reached, width))
    outside = np.where(core < 0.5, reached, 0).ravel()
    wanted = int((core >= 0.5).sum() * (1 / rng.uniform(*CORE_SHARE) - 1))
    edge = max(float(np.partition(outside, -wanted)[-wanted]), 1e-4)
    gain = np.clip((reached / edge - 1) * EDGE_GAIN + 0.5, 0, 1)
    oedema: Volume = gain * (1 - anatomy.fluid) * anatomy.brain
    return oedema


def white_matter_lesions(rng: np.random.Generator, anatomy: Anatomy) -> Volume:
    """White-matter lesions: blobs close to the ventricles, and a few anywhere."""
    shape = shape_of(anatomy.white)
    nearness = np.clip(1 + anatomy.ventricle_depth / 0.14, 0, 1)
    blobs = smooth_field(rng, shape, 0.11) + 1.3 * nearness - rng.uniform(1.9, 2.4)
    lesions: Volume = np.clip(3 * blobs, 0, 1) * anatomy.white * (anatomy.depth > 0.15)
    return lesions
