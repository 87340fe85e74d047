"""Phantoms written as a scanner would: series of slices in any plane, or of frames in one file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from data_prep.brats.sequences import SEQUENCES
from data_prep.phantom.case import PhantomCase, make_volumes

SHAPE, SPACING_MM = (24, 20, 16), (0.9, 1.1, 2.0)  # to the left, back, top
PATIENT = "Doe^Jane"
HEADERS = {
    "t1ce": {"SeriesDescription": "T1 MPRAGE +C", "EchoTime": 3, "RepetitionTime": 8},
    "t1": {"SeriesDescription": "T1 MPRAGE", "EchoTime": 3, "RepetitionTime": 8},
    "t2": {"SeriesDescription": "T2 TSE", "EchoTime": 95, "RepetitionTime": 4000},
    "flair": {
        "SeriesDescription": "T2 FLAIR",
        "EchoTime": 120,
        "RepetitionTime": 9000,
        "InversionTime": 2500,
    },
}
PLANES = {  # axes of the volume along columns, rows, slices; which of them run backwards
    "axial": ((0, 1, 2), ()),
    "sagittal": ((1, 2, 0), (2,)),
    "coronal": ((0, 2, 1), (2,)),
}


def draw_volumes() -> dict[str, np.ndarray]:
    """The four modalities and the label, their axes to the left, back and top."""
    return make_volumes(PhantomCase(3, 0, SHAPE))


def make_affine(degrees: float = 0) -> np.ndarray:
    """From the indices of a volume to mm (RAS), turned obliquely about two axes."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    about_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ about_x @ about_z @ np.diag(SPACING_MM)
    affine[:3, 3] = (17.5, 12.25, -31.0)
    return affine


@dataclass
class Writer:
    """Writes series of one patient and one visit below `folder`."""

    folder: Path
    patient: str = "P1"
    plane: str = "axial"
    affine: np.ndarray = field(default_factory=make_affine)
    study: str = field(default_factory=generate_uid)
    space: str = field(default_factory=generate_uid)
    number: int = 0

    def write_case(self, volumes: dict[str, np.ndarray]) -> "Writer":
        """Write all four sequences, a folder each."""
        for sequence in SEQUENCES:
            self.write(volumes[sequence], **HEADERS[sequence])
        return self

    def write(
        self,
        volume: np.ndarray,
        *,
        into: str = "",
        change: Callable[[list[Dataset]], Iterable[Dataset]] = list,
        **header: Any,
    ) -> list[Path]:
        """Write one series of single slices, in the order in which `change` leaves them."""
        slices = list(change(self.make_slices(volume, **header)))
        folder = self.folder / (into or f"{self.number:03d}")
        return [save(one, folder / f"{index:04d}.dcm") for index, one in enumerate(slices)]

    def make_slices(self, volume: np.ndarray, **header: Any) -> list[Dataset]:
        """Cut a volume to slices in this writer's plane."""
        cut, place = self._turn(volume)
        self.number += 1
        series, (columns, rows, normal, corner) = generate_uid(), place.T[:, :3]
        slices = []
        for index in range(cut.shape[2]):
            one = self._describe(MRImageStorage, series, cut[:, :, index].T)
            one.InstanceNumber = index + 1
            one.ImagePositionPatient = _decimals(corner + index * normal)
            one.ImageOrientationPatient = _orientation(columns, rows)
            one.PixelSpacing = _decimals([np.linalg.norm(rows), np.linalg.norm(columns)])
            one.SliceThickness = str(round(float(np.linalg.norm(normal)), 4))
            slices.append(_set(one, header))
        return slices

    def write_frames(self, volume: np.ndarray, order: Iterable[int], **header: Any) -> Path:
        """Write one enhanced image whose frames come in `order`."""
        slices = self.make_slices(volume, **header)
        frames = [slices[index] for index in order]
        pixels = np.stack([frame.pixels for frame in frames])
        one = _set(self._describe(EnhancedMRImageStorage, generate_uid(), pixels), header)
        one.NumberOfFrames = len(frames)
        plane, measures = Dataset(), Dataset()
        plane.ImageOrientationPatient = frames[0].ImageOrientationPatient
        measures.PixelSpacing = frames[0].PixelSpacing
        measures.SliceThickness = frames[0].SliceThickness
        shared = Dataset()
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
        one.SharedFunctionalGroupsSequence = [shared]
        one.PerFrameFunctionalGroupsSequence = [_place_frame(frame) for frame in frames]
        return save(one, self.folder / f"{self.number:03d}.dcm")

    def _turn(self, volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the volume as columns, rows, slices, and its affine in DICOM's axes (LPS)."""
        axes, backwards = PLANES[self.plane]
        turn = np.eye(4)
        for axis in backwards:
            turn[axis, axis], turn[axis, 3] = -1, volume.shape[axis] - 1
        affine = np.diag([-1, -1, 1, 1]) @ self.affine @ turn
        return np.flip(volume, backwards).transpose(axes), affine[:, [*axes, 3]]

    def _describe(self, kind: str, series: str, pixels: np.ndarray) -> Dataset:
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID, one.SeriesInstanceUID = kind, generate_uid(), series
        one.StudyInstanceUID, one.FrameOfReferenceUID = self.study, self.space
        one.PatientName, one.PatientID, one.PatientBirthDate = PATIENT, self.patient, "19700101"
        one.PatientSex, one.AccessionNumber, one.StudyID = "O", "", "1"
        one.StudyDate, one.StudyTime, one.ReferringPhysicianName = "20200101", "120000", ""
        one.Modality, one.SeriesNumber, one.InstanceNumber = "MR", self.number, 1
        one.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        one.Rows, one.Columns = pixels.shape[-2:]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
        one.PixelRepresentation = 1
        one.PixelData = pixels.astype("<i2").tobytes()
        one.pixels = pixels
        return one


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a dataset as a DICOM file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _set(dataset: Dataset, header: dict[str, Any]) -> Dataset:
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    return dataset


def _place_frame(frame: Dataset) -> Dataset:
    place, group = Dataset(), Dataset()
    place.ImagePositionPatient = frame.ImagePositionPatient
    group.PlanePositionSequence = [place]
    return group


def _orientation(columns: np.ndarray, rows: np.ndarray) -> list[str]:
    """DICOM names first the direction in which columns are counted."""
    unit = [axis / np.linalg.norm(axis) for axis in (columns, rows)]
    return _decimals(np.concatenate(unit))


def _decimals(numbers: Iterable[float]) -> list[str]:
    return [f"{number:.8f}"[:16] for number in numbers]
