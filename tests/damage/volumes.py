"""Phantoms in memory as inspected cases, and ways to damage them that no header tells."""

from pathlib import Path

import nibabel
import numpy as np
from nibabel.affines import from_matvec
from scipy import ndimage

from data_prep.brats.sequences import SEQUENCES
from data_prep.case import Case, ImageFile
from data_prep.checks.inspection import Inspection
from data_prep.phantom.case import PhantomCase, make_volumes
from data_prep.scans.scan import Scan

SCALP = {"t1ce": 0.95, "t1": 1.0, "t2": 0.7, "flair": 0.6}  # of the bright tissue; fat
BONE = 0.13
FLUID = {"t1ce": 0.25, "t1": 0.25, "t2": 1.1, "flair": 0.2}
BONE_MM, SCALP_MM, HEAD_MM = 6.0, 5.0, 140.0
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def make_phantom(number, shape=(48, 48, 48), difficulty=1.0):
    """The four sequences of one phantom, as a scanner's program stores them."""
    volumes = make_volumes(PhantomCase(700, number, shape, difficulty=difficulty))
    return {name: np.asfortranarray(volumes[name]) for name in SEQUENCES}


def inspect(volumes, affine=AFFINE, findings=()):
    """The case as `inspect_case` hands it on, without writing a file."""
    images = {name: ImageFile(Path(f"{name}.nii.gz")) for name in volumes}
    scans = {}
    for name, voxels in volumes.items():
        header = nibabel.Nifti1Image(voxels, affine).header
        scans[name] = Scan(voxels, header, name)
    case = Case("case", "case", "unknown", images, None)
    return Inspection(case, scans, None, {}, {}, tuple(findings))


def shift(volumes, name, millimetres):
    """Move one sequence to the front and the top, by so much in all."""
    step = (0, millimetres * 0.6, millimetres * 0.8)
    moved = ndimage.shift(volumes[name].astype(np.float32), step, order=1)
    return volumes | {name: np.asfortranarray(moved.astype(np.int16))}


def rotate(volumes, name, degrees):
    """Turn one sequence about the front-back axis."""
    voxels = volumes[name].astype(np.float32)
    turned = ndimage.rotate(voxels, degrees, axes=(0, 2), reshape=False, order=1)
    return volumes | {name: np.asfortranarray(turned.astype(np.int16))}


def turn(degrees, moved_mm, centre):
    """The affine that turns about the axis from foot to head, and moves."""
    matrix = nibabel.eulerangles.euler2mat(z=np.radians(degrees))
    return from_matvec(matrix, centre + moved_mm - matrix @ centre)


def displace(scan, truth):
    """The scan as it would be, had the head lain where `truth` takes it."""
    back = np.linalg.inv(scan.affine) @ np.linalg.inv(truth) @ scan.affine
    voxels = ndimage.affine_transform(scan.values.astype(np.float32), back, order=1)
    return Scan(np.asfortranarray(voxels.round().astype(np.int16)), scan.header, "moved")


def put_skull_on(volumes):
    """Fluid, bone and scalp around the brain, as thick as in a head of that size."""
    brain = np.any([voxels != 0 for voxels in volumes.values()], axis=0)
    scale = min(brain.shape) * 0.75 / HEAD_MM
    bone, scalp = max(1.5, BONE_MM * scale), max(1.5, SCALP_MM * scale)
    margin = int(np.ceil(bone + scalp)) + 3
    padded = np.pad(brain, margin)
    depth = ndimage.distance_transform_edt(~ndimage.binary_closing(padded, iterations=3))
    head = {}
    for name, voxels in volumes.items():
        bright = np.percentile(voxels[brain], 90)
        layers = np.select(
            [depth <= 1, depth <= 1 + bone, depth <= 1 + bone + scalp],
            [FLUID[name] * bright, BONE * bright, SCALP[name] * bright],
        )
        around = np.where(layers > 0, np.maximum(ndimage.gaussian_filter(layers, 0.6), 1), 0)
        image = np.where(padded, np.pad(voxels, margin), around)
        head[name] = np.asfortranarray(image.astype(np.int16))
    return head
