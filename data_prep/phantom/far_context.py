"""Ring-enhancing lesions whose type is told only by the other hemisphere: glioma or metastasis.

A solitary ring is taken for a glioma and labelled as one; two of them are taken for metastases,
which the labels of a glioma data set leave out. Each lesion of a pair is drawn like a solitary one,
so what is near it tells nothing: a reader has to look at the whole brain.
"""

import numpy as np

from data_prep.phantom.anatomy import Anatomy
from data_prep.phantom.fields import Volume, coordinates, shape_of, soft_inside
from data_prep.phantom.tumour import (
    Tumour,
    choose_centre,
    core_depth,
    label_regions,
    spread_oedema,
    white_matter_lesions,
)

RADIUS = (0.15, 0.2)  # of the core: 5 to 6.5 voxels at size 64
RIM = (0.42, 0.58)  # enhancing rim as a share of the radius
OFF_MIDLINE = 0.3  # of a centre, so that two lie 0.6 or more apart: a third of the brain's length


def grow_ring_lesions(rng: np.random.Generator, anatomy: Anatomy, *, metastatic: bool) -> Tumour:
    """Draw a lesion in either hemisphere; keep both, unlabelled, or one of them, labelled."""
    first_side = 1 if rng.random() < 0.5 else -1
    lesions = [_grow_lesion(rng, anatomy, side) for side in (first_side, -first_side)]
    kept = lesions if metastatic else lesions[:1]
    core, rim, oedema = (np.maximum.reduce(parts) for parts in zip(*kept, strict=True))
    spots = white_matter_lesions(rng, anatomy) * (1 - np.maximum(core, oedema))
    label = label_regions(anatomy, core=core, rim=rim, oedema=oedema) * np.int16(not metastatic)
    return Tumour(oedema, core, rim, spots, label)


def _grow_lesion(
    rng: np.random.Generator, anatomy: Anatomy, side: int
) -> tuple[Volume, Volume, Volume]:
    """Core, enhancing rim and oedema of one lesion; none of them crosses the midline."""
    shape = shape_of(anatomy.white)
    radius = rng.uniform(*RADIUS)
    centre = choose_centre(rng, anatomy, side=side, off_midline=OFF_MIDLINE)
    depth = core_depth(rng, shape, centre, radius)
    hemisphere = coordinates(shape)[0] * side > 0
    core = soft_inside(depth) * soft_inside(anatomy.depth) * (1 - anatomy.ventricle) * hemisphere
    rim = core * (1 - soft_inside(depth - radius * rng.uniform(*RIM)))
    return core, rim, spread_oedema(rng, anatomy, core) * hemisphere
