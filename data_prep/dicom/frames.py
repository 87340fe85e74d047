"""Where each slice of MR images lies, be it a file or one frame of a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.dicom.files import COPY_AGAIN, MrImage, printable
from data_prep.errors import DatasetError

Vector = npt.NDArray[np.float64]

_PLACE = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
_VALUES = "PixelValueTransformationSequence"
_SKEW = 1e-3  # cosine between rows and columns that still counts as a right angle


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice: number `index` of `image`, in mm of the patient (left, back, top).

    `orientation` holds the directions along a row and along a column, `spacing_mm` the distances
    between rows and between columns: the orders that DICOM has.
    """

    image: MrImage
    index: int
    position: Vector
    orientation: Vector
    spacing_mm: Vector
    shape: tuple[int, int]
    slope: float
    intercept: float

    @property
    def normal(self) -> Vector:
        """The direction in which slices are stacked."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def name(self) -> str:
        """The file and, where it holds several, the number of the frame from 1."""
        file = self.image.name
        return f"{file} frame {self.index + 1}" if self.image.has_frames else file


def read_frames(image: MrImage) -> list[Frame]:
    """Read where all slices of one file lie."""
    count = read_numbers(image, image.header, "NumberOfFrames", 1, default=(1.0,))[0]
    listed = len(image.header.get("PerFrameFunctionalGroupsSequence") or ())
    if image.has_frames and not 0 < count == listed:
        raise DatasetError(f"{image.name}: {count:g} frames, {listed} described - {COPY_AGAIN}")
    return [_read_frame(image, index) for index in range(listed if image.has_frames else 1)]


def read_numbers(
    image: MrImage, header: Any, keyword: str, count: int, default: tuple[float, ...] = ()
) -> Vector:
    """Read finite numbers from a header; what is absent has the default, if there is one."""
    try:
        found = header.get(keyword)
        if found is None or found == "":
            found = default
        numbers = np.atleast_1d(np.asarray(found, dtype=np.float64))
    except (TypeError, ValueError, ArithmeticError):
        numbers = np.array([np.nan])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise DatasetError(f"{image.name}: expected {count} numbers in {keyword} - {COPY_AGAIN}")
    return numbers


def find_groups(header: Any, index: int) -> Iterator[Any]:
    """The places where a property of a frame can stand: of the frame, of all, of the file."""
    for own, position in (("PerFrame", index), ("Shared", 0)):
        groups = header.get(f"{own}FunctionalGroupsSequence") or ()
        if position < len(groups):
            yield groups[position]
    yield header


def find_item(header: Any, index: int, sequence: str) -> Any:
    """The item of `sequence` that holds for a frame, or the header, where old images have all."""
    for group in find_groups(header, index):
        items = group.get(sequence)
        if items:
            return items[0]
    return header


def _read_frame(image: MrImage, index: int) -> Frame:
    header = image.header
    place, plane, measures = (find_item(header, index, name) for name in _PLACE)
    values = find_item(header, index, _VALUES)
    orientation = read_numbers(image, plane, "ImageOrientationPatient", 6)
    spacing = read_numbers(image, measures, "PixelSpacing", 2)
    sides = [int(read_numbers(image, header, name, 1)[0]) for name in ("Rows", "Columns")]
    frame = Frame(
        image=image,
        index=index,
        position=read_numbers(image, place, "ImagePositionPatient", 3),
        orientation=orientation,
        spacing_mm=spacing,
        shape=(sides[0], sides[1]),
        slope=float(read_numbers(image, values, "RescaleSlope", 1, default=(1.0,))[0]),
        intercept=float(read_numbers(image, values, "RescaleIntercept", 1, default=(0.0,))[0]),
    )
    _check_plane(frame)
    return frame


def _check_plane(frame: Frame) -> None:
    axes = frame.orientation.reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > _SKEW or min(frame.spacing_mm) <= 0:
        raise DatasetError(
            f"{frame.name}: its plane or pixel spacing makes no sense - {COPY_AGAIN}"
        )
    shown = frame.image.header.get("PhotometricInterpretation", "MONOCHROME2")
    if shown != "MONOCHROME2":
        said = printable(shown)
        raise DatasetError(f"{frame.name}: grey values are {said} - export them as MONOCHROME2")
    if min(frame.shape) < 1:
        raise DatasetError(f"{frame.name}: has no voxels - {COPY_AGAIN}")
