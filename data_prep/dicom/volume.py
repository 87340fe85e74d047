"""Slices to one volume: sorted by place, checked for gaps, read to voxels with an affine."""

import hashlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from data_prep.dicom.files import COPY_AGAIN, MrImage, printable
from data_prep.dicom.frames import Frame, Vector, read_numbers
from data_prep.errors import DatasetError, load_extra
from data_prep.scans.scan import MAX_VOXELS, Scan

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SAME_AXES = 1e-4  # difference of direction cosines, which are written with six digits or so
_SAME_SPACING = 1e-4  # of the spacing
_UNEVEN, _UNEVEN_MM = 0.02, 0.01  # of the distance of slices; what rounding of positions makes
_DRIFT_MM = 0.1  # beside the straight line through all first voxels
_DECODER = "python-gdcm"
_DECODER_OF_HTJ2K = "pylibjpeg pylibjpeg-openjpeg"


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of one series in their order along the normal, and their affine in mm (RAS)."""

    frames: tuple[Frame, ...]
    affine: Vector

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices: x, y, z of the volume."""
        rows, columns = self.frames[0].shape
        return columns, rows, len(self.frames)

    @property
    def images(self) -> tuple[MrImage, ...]:
        """The files, in the order in which the volume needs them first."""
        return tuple({frame.image.name: frame.image for frame in self.frames}.values())


def stack_frames(frames: Sequence[Frame]) -> Stack:
    """Sort slices by their place; stop where they are not one whole and even stack."""
    first = frames[0]
    for other in frames[1:]:
        _check_alike(first, other)
    if len(frames) < 2:
        raise DatasetError(f"{first.name}: a single slice - give the whole series")
    rows, columns = first.shape
    if rows * columns * len(frames) > MAX_VOXELS:
        raise DatasetError(f"{first.name}: over {MAX_VOXELS} voxels in its series - {COPY_AGAIN}")
    ordered = sorted(frames, key=lambda frame: float(first.normal @ frame.position))
    _check_distances(ordered, first.normal)
    return Stack(tuple(ordered), _affine_of(ordered))


def read_volume(stack: Stack) -> Scan:
    """Read the voxels as a NIfTI scan holds them; its hash is that of the files' bytes."""
    digest = hashlib.sha256()
    planes: dict[tuple[str, int], npt.NDArray[Any]] = {}
    for image in stack.images:
        _check_decoder(image)
        content = _read_bytes(image.path, image.name)
        digest.update(hashlib.sha256(content).digest())
        voxels = _decode(content, image, stack.frames[0].shape)
        planes |= {(image.name, index): plane for index, plane in enumerate(voxels)}
    taken = [_rescale(planes[frame.image.name, frame.index], frame) for frame in stack.frames]
    volume = np.empty(stack.shape, np.result_type(*taken), order="F")
    for z, plane in enumerate(taken):
        volume[:, :, z] = plane.T
    return Scan(volume, _header_of(volume, stack.affine), digest.hexdigest())


def _check_alike(first: Frame, other: Frame) -> None:
    """Compare one slice with the first of its series."""
    pair = f"{first.name} and {other.name}"
    fix = "export each stack as a series of its own"
    if np.abs(first.orientation - other.orientation).max() > _SAME_AXES:
        raise DatasetError(f"{pair}: mixed orientations in one series - {fix}")
    if np.abs(first.spacing_mm / other.spacing_mm - 1).max() > _SAME_SPACING:
        raise DatasetError(f"{pair}: mixed pixel spacing in one series - {fix}")
    if first.shape != other.shape:
        raise DatasetError(f"{pair}: mixed sizes in one series - {fix}")


def _check_distances(ordered: Sequence[Frame], normal: Vector) -> None:
    steps = np.diff([normal @ frame.position for frame in ordered])
    usual = float(np.median(steps))
    tolerance = max(_UNEVEN * usual, _UNEVEN_MM)
    for (one, other), step in zip(pairwise(ordered), steps, strict=True):
        pair = f"{one.name} and {other.name}"
        if step <= tolerance:
            raise DatasetError(
                f"{pair}: two slices at one place - remove one, or export echoes and repetitions "
                "as series of their own"
            )
        if abs(step - usual) > tolerance:
            said = f"{step:.2f} mm apart, most others {usual:.2f}"
            raise DatasetError(f"{pair}: {_count_gap(step / usual)} ({said}) - export all slices")
    _check_thinned(ordered[0], usual)
    start, end = ordered[0].position, ordered[-1].position
    line = np.linspace(start, end, len(ordered))
    drift = np.linalg.norm(line - [frame.position for frame in ordered], axis=1)
    if drift.max() > _DRIFT_MM:
        name = ordered[int(drift.argmax())].name
        raise DatasetError(f"{name}: {drift.max():.1f} mm beside the stack - {COPY_AGAIN}")


def _count_gap(ratio: float) -> str:
    missing = round(ratio) - 1
    if missing < 1 or abs(ratio - round(ratio)) > 0.1:
        return "slices at uneven distances"
    return f"{missing} slice{'' if missing == 1 else 's'} missing between them"


def _check_thinned(frame: Frame, step: float) -> None:
    """See whether every other slice is missing, which leaves even distances."""
    default = (step,)
    said = read_numbers(frame.image, frame.image.header, "SpacingBetweenSlices", 1, default)[0]
    ratio = step / said if said > 0 else 1.0
    if ratio > 1.9 and abs(ratio - round(ratio)) < _UNEVEN:
        raise DatasetError(
            f"{frame.name}: slices {step:.2f} mm apart where its header says {said:.2f}, so "
            f"{round(ratio) - 1} of {round(ratio)} are missing - export all slices"
        )


def _affine_of(ordered: Sequence[Frame]) -> Vector:
    """From column, row and slice to mm: DICOM counts to the left and back, NIfTI to the right."""
    first, last = ordered[0], ordered[-1]
    between_rows, between_columns = first.spacing_mm
    matrix = np.eye(4)
    matrix[:3, 0] = first.orientation[:3] * between_columns
    matrix[:3, 1] = first.orientation[3:] * between_rows
    matrix[:3, 2] = (last.position - first.position) / (len(ordered) - 1)
    matrix[:3, 3] = first.position
    return np.asarray(_LPS_TO_RAS @ matrix, dtype=np.float64)


def _check_decoder(image: MrImage) -> None:
    syntax = image.header.file_meta.get("TransferSyntaxUID")
    try:
        if syntax is None or not syntax.is_compressed:
            return
        decodable = load_extra("pydicom.pixels").get_decoder(syntax).is_available
    except (NotImplementedError, ValueError) as error:
        said = f"{image.name}: stored as {printable(syntax.name)} - export it uncompressed"
        raise DatasetError(said) from error
    if not decodable:
        needed = _DECODER_OF_HTJ2K if "High-Throughput" in syntax.name else _DECODER
        raise DatasetError(
            f"{image.name}: compressed as {syntax.name}, which cannot be decoded here - "
            f"pip install {needed}, or export it uncompressed"
        )


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{name}: cannot be opened ({error.strerror}) - {COPY_AGAIN}") from error


def _decode(content: bytes, image: MrImage, shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Return the slices of a file, stacked; an image without frames has one."""
    pydicom = load_extra("pydicom")
    try:
        with warnings.catch_warnings(action="ignore"):
            pixels = np.asarray(pydicom.dcmread(io.BytesIO(content)).pixel_array)
    except Exception as error:  # decoders raise what they like
        said = printable(error).split(". ")[0] or type(error).__name__
        raise DatasetError(
            f"{image.name}: voxels cannot be read ({said}) - {COPY_AGAIN}"
        ) from error
    return pixels.reshape(-1, *shape)


def _rescale(plane: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    if frame.slope == 1 and frame.intercept == 0:
        return plane
    return (plane * frame.slope + frame.intercept).astype(np.float32)


def _header_of(volume: npt.NDArray[Any], affine: Vector) -> nibabel.Nifti1Header:
    header = nibabel.Nifti1Image(volume, affine, dtype=volume.dtype).header
    header.set_xyzt_units("mm", "sec")
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    return header
