"""Where the voxels of one scan lie, and whether that can be so."""

from collections.abc import Iterable, Iterator

import numpy as np

from data_prep.rules import Rule
from data_prep.scans.grid import LARGEST_COSINE, Grid, Matrix
from data_prep.scans.scan import Scan

Fault = tuple[Rule, str]  # the rule that is broken, and what was seen

FORM_TOLERANCE_MM = 0.5  # a quaternion of float32 moves far corners by up to 0.1 mm
THICK_MM = 4.0
POSSIBLE_SPACING_MM = (0.1, 10.0)
SMALLEST_FIELD_MM = 16.0
SMALLEST_SIDE = 8  # voxels


def geometry_faults(scan: Scan) -> Iterator[Fault]:
    """Tell what is wrong with the shape and position of one scan."""
    shape = scan.voxels.shape
    if len(shape) != 3 or min(shape) == 1:
        yield Rule.NOT_3D, f"shape {write_shape(shape)}, expected three sides"
        return
    coded = scan.header["sform_code"] > 0 or scan.header["qform_code"] > 0
    pixdim = scan.header["pixdim"][1:4].astype(np.float64)
    if not coded and not (np.isfinite(pixdim).all() and pixdim.all()):
        yield Rule.NO_VOXEL_SIZE, f"pixdim {write_mm(pixdim)} and neither sform nor qform"
    elif is_degenerate(scan.affine):
        yield Rule.BAD_AFFINE, "the affine is singular or not finite"
    else:
        if not coded:
            yield Rule.NO_ORIENTATION, "neither sform nor qform says where left is"
        x, y, z = shape
        grid = Grid((x, y, z), scan.affine)
        yield from _form_faults(scan, grid)
        yield from _axis_faults(grid)
        yield from _size_faults(grid)


def is_degenerate(affine: Matrix) -> bool:
    """Tell whether the affine maps no volume onto a volume."""
    if not np.isfinite(affine).all():
        return True
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return not spacing.all() or bool(abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3)


def write_shape(shape: tuple[int, ...]) -> str:
    """For people: `240 x 240 x 155`."""
    return " x ".join(map(str, shape))


def write_mm(lengths: Iterable[float]) -> str:
    """For people: `1 x 1 x 5`, to four digits."""
    return " x ".join(f"{length:.4g}" for length in lengths)


def _form_faults(scan: Scan, grid: Grid) -> Iterator[Fault]:
    pixdim = scan.header["pixdim"][1:4]
    if (pixdim <= 0).any():
        yield Rule.NEGATIVE_PIXDIM, f"pixdim {write_mm(pixdim)}"
    if not (scan.header["sform_code"] > 0 and scan.header["qform_code"] > 0):
        return
    if is_degenerate(scan.qform):
        yield Rule.FORMS_DIFFER, "the qform is singular or not finite, the sform is used"
    elif np.linalg.det(scan.affine) * np.linalg.det(scan.qform) < 0:
        yield Rule.SIDES_SWAPPED, "what is left by the sform is right by the qform"
    else:
        distance = grid.distance_mm(Grid(grid.shape, scan.qform))
        if distance > FORM_TOLERANCE_MM:
            yield Rule.FORMS_DIFFER, f"up to {distance:.1f} mm apart, the sform is used"


def _axis_faults(grid: Grid) -> Iterator[Fault]:
    cosine = grid.largest_cosine
    if cosine > LARGEST_COSINE:
        angle = np.degrees(np.arccos(min(cosine, 1.0)))
        yield Rule.SHEARED, f"two axes meet at {angle:.1f} degrees"


def _size_faults(grid: Grid) -> Iterator[Fault]:
    spacing, shape = grid.spacing_mm, grid.shape
    smallest, largest = POSSIBLE_SPACING_MM
    field = spacing * shape
    if spacing.min() < smallest or spacing.max() > largest:
        yield Rule.ODD_SPACING, f"voxels of {write_mm(spacing)} mm"
    elif min(shape) < SMALLEST_SIDE or field.min() < SMALLEST_FIELD_MM:
        yield Rule.TINY_FIELD, f"{write_shape(shape)} voxels, {write_mm(field)} mm"
    elif spacing.max() >= THICK_MM:
        yield Rule.THICK_SLICES, f"voxels of {write_mm(spacing)} mm"
