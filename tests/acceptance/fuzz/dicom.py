"""Series of DICOM with wrong headers, lost or doubled slices, and damaged files."""

import io
import warnings
from functools import cache
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from data_prep.phantom.case import PhantomCase, make_volumes
from tests.acceptance.fuzz.mutant import Content, Random

SHAPE, WIDE_MM, THICK_MM = (32, 32, 16), 1.8, 1.9  # the brain has 6 ml
SERIES = {"t1ce": "T1 MPRAGE +C", "t1": "T1 MPRAGE", "t2": "T2 TSE", "flair": "T2 FLAIR"}
ROOT = "1.2.826.0.1.3680043.10.99999."
FAVOURED = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "InstanceNumber",
    "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "SeriesDescription", "SliceThickness",
    "NumberOfFrames", "FrameOfReferenceUID", "StudyInstanceUID", "EchoTime", "PatientID",
    "ImageType", "Modality", "SpecificCharacterSet", "PixelData",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    "", "0", "1", "-1", "nan", "inf", "1e30", "1e-30", "65535", "99999999999999", "x", "\\",
    "1\\1\\1", "0\\0\\0", "1\\0\\0\\1\\0\\0", "nan\\0\\0\\0\\1\\0", "RGB", "ISO_IR 192",
    "<script>", "1.2.3", "DERIVED\\SECONDARY", "a\nb", "../..", "é",
)  # fmt: skip
NUMBERS = (0, 1, 2, 7, 8, 12, 16, 32, 33, 64, 65535, 30000)


def make_files(random: Random) -> tuple[str, dict[str, Content]]:
    """The four series of a phantom, in one of which, or in all, something is wrong."""
    files = dict(_make_series())
    names = sorted(files)
    scope = str(random.choice(["file", "series", "all"]))
    series = names[int(random.integers(len(names)))].split("/")[1]
    chosen = [name for name in names if scope == "all" or f"/{series}/" in name]
    if scope == "file":
        chosen = [chosen[int(random.integers(len(chosen)))]]
    told = _WAYS[int(random.integers(len(_WAYS)))](files, chosen, random)
    return f"DICOM, {scope}, {told}", {f"case/{k[5:]}": Content(v) for k, v in files.items()}


def _change_elements(files: dict[str, bytes], chosen: list[str], random: Random) -> str:
    names = [str(random.choice(FAVOURED)) for _ in range(int(random.integers(1, 3)))]
    lost = random.random() < 0.3
    value = VALUES[int(random.integers(len(VALUES)))]
    number = NUMBERS[int(random.integers(len(NUMBERS)))]
    for file in chosen:
        one = pydicom.dcmread(io.BytesIO(files[file]))
        for name in names:
            if lost and name in one:
                delattr(one, name)
            elif not lost:
                _set(one, name, value, number)
        files[file] = _to_bytes(one) or files[file]
    return f"{' and '.join(names)} {'lost' if lost else repr((value, number))}"


def _set(one: Dataset, name: str, value: str, number: int) -> None:
    """Put a value that need not be of the element's kind."""
    kind = pydicom.datadict.dictionary_VR(pydicom.datadict.tag_for_keyword(name) or 0)
    content: Any = value
    if kind == "US":
        content = number
    elif name == "PixelData":
        content = one.PixelData[: 2 * number]
        kind = "OW"
    one.add(pydicom.DataElement(pydicom.datadict.tag_for_keyword(name) or 0, kind, None))
    one[name]._value = content  # past what would be refused


def _lose_files(files: dict[str, bytes], chosen: list[str], random: Random) -> str:
    lost = [name for name in chosen if random.random() < 0.3]
    for name in lost:
        del files[name]
    return f"{len(lost)} files lost"


def _double_files(files: dict[str, bytes], chosen: list[str], random: Random) -> str:
    doubled = [name for name in chosen if random.random() < 0.3]
    for name in doubled:
        files[name + ".copy"] = files[name]
    return f"{len(doubled)} files twice"


def _flip_bits(files: dict[str, bytes], chosen: list[str], random: Random) -> str:
    most = int(random.choice([200, 1200]))
    places = random.integers(0, 8 * most, int(random.integers(1, 9))).tolist()
    for name in chosen:
        content = bytearray(files[name])
        for place in places:
            content[place // 8 % len(content)] ^= 1 << place % 8
        files[name] = bytes(content)
    return f"bits {places}"


def _cut(files: dict[str, bytes], chosen: list[str], random: Random) -> str:
    length = int(random.integers(0, len(files[chosen[0]])))
    for name in chosen:
        files[name] = files[name][:length]
    return f"cut to {length}"


def _add_junk(files: dict[str, bytes], chosen: list[str], random: Random) -> str:
    for name in chosen:
        files[name + "x"] = random.bytes(300)
        files[name + ".dcm"] = bytes(128) + b"DICM" + random.bytes(200)
    return "junk beside it"


_WAYS = (_change_elements, _change_elements, _change_elements, _change_elements, _lose_files,
         _double_files, _flip_bits, _flip_bits, _cut, _add_junk)  # fmt: skip


@cache
def _make_series() -> dict[str, bytes]:
    volumes = make_volumes(PhantomCase(901, 0, SHAPE))
    files = {}
    for number, (name, description) in enumerate(SERIES.items(), 1):
        for index in range(SHAPE[2]):
            one = _make_slice(volumes[name][:, :, index].T, number, index, description)
            files[f"case/{number}/{index:03}.dcm"] = _to_bytes(one)
    return files


def _make_slice(pixels: Any, series: int, index: int, description: str) -> Dataset:
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, f"{ROOT}{series}.{index + 1}"
    one.StudyInstanceUID, one.SeriesInstanceUID = f"{ROOT}8", f"{ROOT}9.{series}"
    one.FrameOfReferenceUID, one.Modality = f"{ROOT}7", "MR"
    one.PatientID, one.PatientName = "P1", "Doe^Jane"
    one.SeriesDescription, one.SeriesNumber, one.InstanceNumber = description, series, index + 1
    one.EchoTime, one.RepetitionTime = (95, 4000) if series > 2 else (3, 8)
    one.ImagePositionPatient = [0, 0, index * THICK_MM]
    one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.SliceThickness = [WIDE_MM, WIDE_MM], THICK_MM
    one.Rows, one.Columns = pixels.shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelData = np.ascontiguousarray(pixels, "<u2").tobytes()
    one.preamble, one.file_meta = bytes(128), FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = MRImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    return one


def _to_bytes(one: Dataset) -> bytes:
    """As a file; nothing where the values cannot be written at all."""
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmwrite(buffer, one, enforce_file_format=False)
    except Exception:  # the writer has its own mind of what is right
        return b""
    return buffer.getvalue()
