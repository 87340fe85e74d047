"""How one sequence lies in another's space: a rigid transform, found by mutual information.

SimpleITK (Lowekamp et al. 2013) is loaded only here, and works in the mm of the scans themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import acos, degrees
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.errors import load_extra
from data_prep.scans.grid import Grid, turn_to_ras
from data_prep.scans.resampling import resample_linear
from data_prep.scans.scan import Scan

BINS = 32  # of the joint histogram (Mattes et al. 2003)
SEED = 1  # of how the samples are spread; 0 would be the time of day
SAMPLES = 40_000  # voxels of each level, evenly spread
ENOUGH_VOXELS = 500_000  # of a volume: 240 x 240 x 155 are averaged over 3 x 3 x 3
SHRINK, SMOOTH_MM = (4, 2, 1), (4.0, 2.0, 1.0)
ITERATIONS = 120
FIRST_STEP, LAST_STEP, SHORTENED = 2.0, 0.005, 0.6  # mm of the voxel that moves most

Matrix = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Movement:
    """How a sequence was moved to lie on the reference: its centre by mm, turned around it.

    `to_moving` takes mm of the reference to mm of the sequence. Metrics are negative mutual
    information: the less the better.
    """

    rotation_degrees: float
    translation_mm: tuple[float, float, float]
    metric_before: float
    metric: float
    to_moving: Matrix

    def at_rest(self) -> "Movement":
        """Where the header puts it: no movement at all."""
        still, nowhere = np.eye(4), (0.0, 0.0, 0.0)
        return Movement(0.0, nowhere, self.metric_before, self.metric_before, still)

    @property
    def gain(self) -> float:
        """How much better it lies there."""
        return self.metric_before - self.metric

    @property
    def distance_mm(self) -> float:
        """How far the centre was moved."""
        return float(np.linalg.norm(self.translation_mm))

    def as_dict(self) -> dict[str, object]:
        """As the record of a case holds it."""
        return {
            "rotation_degrees": round(self.rotation_degrees, 2),
            "translation_mm": [round(mm, 2) for mm in self.translation_mm],
            "metric_before": round(self.metric_before, 4),
            "metric": round(self.metric, 4),
        }


def find_movement(moving: Scan, fixed: Scan) -> Movement:
    """Register one scan to another: from where the headers, or else the centres, put it."""
    sitk = load_simpleitk()
    target, source = (_thin_out(sitk, _to_image(sitk, scan)) for scan in (fixed, moving))
    centre = _centre_of(sitk, target)
    resting = sitk.VersorRigid3DTransform()
    resting.SetCenter(centre.tolist())
    centred = sitk.VersorRigid3DTransform(resting)
    centred.SetTranslation((_centre_of(sitk, source) - centre).tolist())
    with _one_thread(sitk):
        before, by_centre = (_measure(sitk, target, source, at) for at in (resting, centred))
        start = resting if before <= by_centre else centred
        method = _prepare(sitk, target)
        method.SetInitialTransform(start, inPlace=True)
        method.Execute(target, source)
        after = _measure(sitk, target, source, start)
    return _describe(start, centre, before, after)


def move(moving: Scan, movement: Movement, fixed: Scan) -> Scan:
    """Read a scan at the voxels of another, as that one is stored; 0 beyond it."""
    place = Grid(moving.grid.shape, np.linalg.inv(movement.to_moving) @ moving.grid.affine)
    turned = turn_to_ras(moving.values, moving.affine)
    values, kind = resample_linear(turned, place, fixed.grid), turned.dtype
    voxels = np.zeros(fixed.voxels.shape, dtype=kind, order="F")
    turned = turn_to_ras(voxels, fixed.affine)  # a view: what is written there, is turned back
    turned[...] = np.round(values) if kind.kind in "iu" else values
    header = fixed.header.copy()
    header.set_data_dtype(kind)
    header["scl_slope"], header["scl_inter"] = 1, 0
    return Scan(voxels, header, moving.sha256)


def load_simpleitk() -> Any:
    """Import what registers; it comes with an extra."""
    return load_extra("SimpleITK", extra="coregister", needed_by="--coregister")


@contextmanager
def _one_thread(sitk: Any) -> Iterator[None]:
    """The order of a sum, and with it the last digits, would depend on how many there are."""
    process = sitk.ProcessObject
    before = process.GetGlobalDefaultNumberOfThreads()
    process.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        process.SetGlobalDefaultNumberOfThreads(before)


def _to_image(sitk: Any, scan: Scan) -> Any:
    values: Floats = np.asarray(turn_to_ras(scan.values, scan.affine), dtype=np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    grid = scan.grid
    image.SetSpacing(grid.spacing_mm.tolist())
    image.SetOrigin(grid.affine[:3, 3].tolist())
    image.SetDirection((grid.affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    return image


def _thin_out(sitk: Any, image: Any) -> Any:
    """Average over blocks of voxels, the more the larger the volume."""
    volume = float(np.prod(image.GetSpacing())) * image.GetNumberOfPixels()
    edge_mm = (volume / ENOUGH_VOXELS) ** (1 / 3)
    return sitk.BinShrink(image, [max(1, round(edge_mm / mm)) for mm in image.GetSpacing()])


def _centre_of(sitk: Any, image: Any) -> Matrix:
    """The middle, in mm, of what is not 0."""
    x, y, z = np.mean(np.nonzero(sitk.GetArrayViewFromImage(image)), axis=1)[::-1].tolist()
    return np.asarray(image.TransformContinuousIndexToPhysicalPoint((x, y, z)))


def _prepare(sitk: Any, target: Any) -> Any:
    method = _make_method(sitk)
    voxels = target.GetNumberOfPixels()
    method.SetMetricSamplingPercentagePerLevel([_share(voxels / fold**3) for fold in SHRINK], SEED)
    method.SetShrinkFactorsPerLevel(SHRINK)
    method.SetSmoothingSigmasPerLevel(SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=FIRST_STEP,
        minStep=LAST_STEP,
        numberOfIterations=ITERATIONS,
        relaxationFactor=SHORTENED,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _make_method(sitk: Any) -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _share(voxels: float) -> float:
    return min(1.0, SAMPLES / voxels)


def _measure(sitk: Any, target: Any, source: Any, transform: Any) -> float:
    """The metric of half the resolution; 0, of nothing shared, where they lie wholly apart."""
    method = _make_method(sitk)
    method.SetMetricSamplingPercentage(_share(target.GetNumberOfPixels()), SEED)
    method.SetInitialTransform(sitk.VersorRigid3DTransform(transform))
    try:
        return float(method.MetricEvaluate(target, source))
    except RuntimeError:
        return 0.0


def _describe(found: Any, centre: Matrix, before: float, after: float) -> Movement:
    *_, w = found.GetVersor()
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(found.GetMatrix(), (3, 3))
    matrix[:3, 3] = np.add(found.GetTranslation(), centre) - matrix[:3, :3] @ centre
    across, along, up = (np.linalg.inv(matrix)[:3] @ [*centre, 1] - centre).tolist()
    angle = degrees(2 * acos(min(1.0, abs(w))))
    return Movement(angle, (across, along, up), before, after, matrix)
