"""Which files of a folder are MR images, by their DICOM headers, and which are left out."""

import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from data_prep.errors import DatasetError, check_folder, load_extra
from data_prep.files import walk_files
from data_prep.findings import escape

MOST_FILES = 50_000
MOST_BYTES = 8 * 2**30  # of one file, before it is looked into
COPY_AGAIN = "copy or export it again"
_MARK, _MARK_AT = b"DICM", 128
_ENDINGS = (".dcm", ".dicom", ".ima")
_INDEX = "1.2.840.10008.1.3.10"  # DICOMDIR
_DEFLATED = "1.2.840.10008.1.2.1.99"
_MR_CLASSES: Mapping[str, bool] = MappingProxyType(  # whether it holds many frames
    {
        "1.2.840.10008.5.1.4.1.1.4": False,
        "1.2.840.10008.5.1.4.1.1.4.1": True,
        "1.2.840.10008.5.1.4.1.1.4.4": True,
    }
)


@dataclass(frozen=True, eq=False)
class MrImage:
    """One file with its header (a pydicom Dataset without the voxels); `name` is for people."""

    path: Path
    name: str
    header: Any

    @property
    def has_frames(self) -> bool:
        """Tell enhanced MR, where one file holds a whole volume."""
        return _MR_CLASSES[str(self.header.SOPClassUID)]


def find_images(folder: Path) -> tuple[list[MrImage], list[str]]:
    """Read the headers of all MR images below `folder`, and note what else lies there."""
    load_extra("pydicom")
    check_folder(folder)
    images: list[MrImage] = []
    left_out: Counter[str] = Counter()
    for path in _list_files(folder):
        name = printable(path.relative_to(folder).as_posix())
        header = _read_header(path, name)
        reason = "no DICOM" if header is None else _why_not_mr(header)
        if reason:
            left_out[reason] += 1
        elif header is not None:
            images.append(MrImage(path, name, header))
    notes = [
        f"{count} file{'' if count == 1 else 's'} left out: {reason}"
        for reason, count in left_out.items()
    ]
    if not images:
        seen = "; ".join(notes) or "it is empty"
        raise DatasetError(f"{folder}: no DICOM MR image ({seen}) - name the folder of the scans")
    _check_one_patient(folder, images)
    return images, notes


def holds_dicom(folder: Path) -> bool:
    """Tell whether any file below `folder` is DICOM; it stops at the first."""
    return any(map(is_dicom, _list_files(folder)))


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its mark, whatever its name; what cannot be opened is none."""
    try:
        return _has_mark(path)
    except OSError:
        return False


def printable(text: object) -> str:
    """One line of text from a header or a name, which can hold anything."""
    return escape(str(text)).strip()


def read_text(header: Any, keyword: str) -> str:
    """Text of a header in one line; empty where there is none, or none that can be read."""
    try:
        return printable(header.get(keyword) or "")
    except Exception:  # pydicom reads a value when it is asked for, and raises what it likes
        return ""


def _list_files(folder: Path) -> Iterator[Path]:
    """Go through the regular files, unless there are too many."""
    for count, path in enumerate(walk_files(folder), start=1):
        if count > MOST_FILES:
            raise DatasetError(f"{folder}: over {MOST_FILES} files - name one patient's folder")
        if path.is_file():
            yield path


def _has_mark(path: Path) -> bool:
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
        return False
    with path.open("rb") as file:
        return file.read(_MARK_AT + len(_MARK))[_MARK_AT:] == _MARK


def _read_header(path: Path, name: str) -> Any:
    """Read all but the voxels; None if it is no DICOM or an index of it."""
    pydicom = load_extra("pydicom")
    try:
        if not _has_mark(path):
            if path.suffix.lower() in _ENDINGS:
                raise DatasetError(f"{name}: not DICOM, or damaged - {COPY_AGAIN}")
            return None
        size = path.stat().st_size
        meta = pydicom.filereader.read_file_meta_info(path)
        kind, syntax = meta.get("MediaStorageSOPClassUID"), meta.get("TransferSyntaxUID")
        if kind == _INDEX:
            return None
        if syntax == _DEFLATED or size > MOST_BYTES:  # it could inflate to anything
            said = "a deflated file" if syntax == _DEFLATED else f"a file of {size} bytes"
            raise DatasetError(f"{name}: {said} - export it uncompressed")
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except DatasetError:
        raise
    except OSError as error:
        raise DatasetError(f"{name}: cannot be opened ({error.strerror}) - {COPY_AGAIN}") from error
    except Exception as error:  # pydicom lets through whatever a broken header makes Python raise
        said = printable(error).split(". ")[0] or type(error).__name__
        raise DatasetError(f"{name}: header cannot be read ({said}) - {COPY_AGAIN}") from error
    own = read_text(header, "SOPClassUID")
    if own not in _MR_CLASSES and (not own or kind in _MR_CLASSES):
        raise DatasetError(f"{name}: header ends early - {COPY_AGAIN}")
    return header


def _why_not_mr(header: Any) -> str:
    if read_text(header, "SOPClassUID") not in _MR_CLASSES:
        return printable(header.SOPClassUID.name) or "DICOM of an unknown kind"
    modality = read_text(header, "Modality") or "MR"
    if modality != "MR":
        return f"modality {modality}"
    if read_text(header, "SamplesPerPixel") not in ("", "1"):
        return "colour pictures"
    return ""


def _check_one_patient(folder: Path, images: list[MrImage]) -> None:
    """Stop at a second patient; neither is named, only the files are."""
    first: dict[str, str] = {}
    for image in images:
        keywords = ("PatientID", "PatientName")
        patient = next(filter(None, (read_text(image.header, key) for key in keywords)), "")
        first.setdefault(patient.casefold(), image.name)
    if len(first) > 1:
        one, other, *_ = first.values()
        raise DatasetError(
            f"{folder}: scans of {len(first)} patients, as {one} and {other} - "
            "give each patient's folder by itself"
        )
