"""A folder of DICOM to one case: a series for each sequence, checked, read or turned to NIfTI."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel

from data_prep.brats.sequences import SEQUENCES
from data_prep.dicom.files import COPY_AGAIN, MrImage, find_images, printable, read_text
from data_prep.dicom.frames import read_frames
from data_prep.dicom.sequences import Recognition, recognise_sequence
from data_prep.dicom.volume import Stack, read_volume, stack_frames
from data_prep.errors import DatasetError
from data_prep.files import hash_files, write_bytes
from data_prep.scans.scan import Scan


@dataclass(frozen=True, eq=False)
class Series:
    """The images of one SeriesInstanceUID, in the order in which they were found."""

    uid: str
    images: tuple[MrImage, ...]

    @property
    def number(self) -> str:
        """What a person calls it by: its number, or else its UID."""
        return read_text(self.images[0].header, "SeriesNumber") or self.uid

    @property
    def description(self) -> str:
        """Its description as the scanner has it."""
        return read_text(self.images[0].header, "SeriesDescription")

    @cached_property
    def stack(self) -> Stack:
        """Its slices in space; a DatasetError where they are not one whole volume."""
        return stack_frames([frame for image in self.images for frame in read_frames(image)])

    def read(self) -> Scan:
        """Read its voxels, as a NIfTI scan would hold them."""
        return read_volume(self.stack)

    def describe(self) -> dict[str, Any]:
        """As the record holds it; `file` is a name for people, the hash that of all files' bytes.

        The files are hashed in the order of the slices.
        """
        return {
            "file": str(self),
            "series": {"number": self.number, "description": self.description},
            "files": len(self.stack.images),
            "sha256": self.sha256,
        }

    @cached_property
    def sha256(self) -> str:
        """Hash of its files, one after the other as the slices lie."""
        return hash_files(*(image.path for image in self.stack.images))

    def __str__(self) -> str:
        return f'series {self.number} "{self.description}"'


@dataclass(frozen=True, eq=False)
class DicomCase:
    """One visit of one patient, called after its folder: the header's names are not looked at."""

    name: str
    series: Mapping[str, Series]
    notes: tuple[str, ...]

    @property
    def mapping(self) -> dict[str, str]:
        """What was taken for which sequence, for a person to check."""
        return {
            sequence: f"{series} ({series.stack.shape[2]} slices)"
            for sequence, series in self.series.items()
        }


def read_dicom_case(folder: Path, *, choices: Mapping[str, str] | None = None) -> DicomCase:
    """Find the series of each sequence below `folder`, from headers alone, and check its slices.

    `choices` names, for a sequence, its series by number, description or UID, where the headers
    do not say it. What cannot be found out raises a DatasetError that says what to choose from.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # scanners bend the rules in harmless ways
            return _find_case(folder, choices or {})
    except DatasetError:
        raise
    except (
        Exception
    ) as error:  # pydicom reads a value when it is asked for, and raises what it likes
        said = printable(f"{type(error).__name__}: {error}")
        raise DatasetError(f"{folder}: a header makes no sense ({said}) - {COPY_AGAIN}") from error


def convert_dicom(
    folder: Path, into: Path, *, choices: Mapping[str, str] | None = None
) -> tuple[Path, DicomCase]:
    """Write the sequences of a case as `into/CASE/SEQUENCE.nii`; return that folder and the case.

    One volume is in memory at a time. From here on all that is done for NIfTI is done for them.
    """
    case = read_dicom_case(folder, choices=choices)
    for sequence, series in case.series.items():
        scan = series.read()
        image = nibabel.Nifti1Image(scan.voxels, None, scan.header)
        write_bytes(into / case.name / f"{sequence}.nii", image.to_bytes())
    return into / case.name, case


def _find_case(folder: Path, choices: Mapping[str, str]) -> DicomCase:
    images, notes = find_images(folder)
    all_series = _group(images)
    chosen = {name: _choose(folder, all_series, name, choices[name]) for name in choices}
    found, more = _recognise(folder, all_series, chosen)
    _check_one_study(folder, found)
    for series in found.values():
        _ = series.stack  # tells here what is wrong with it
    return DicomCase(printable(folder.resolve().name) or "case", found, (*notes, *more))


def _group(images: Iterable[MrImage]) -> list[Series]:
    groups: dict[str, list[MrImage]] = {}
    for image in images:
        uid = read_text(image.header, "SeriesInstanceUID")
        if not uid:
            raise DatasetError(f"{image.name}: belongs to no series - export it again")
        groups.setdefault(uid, []).append(image)
    return [Series(uid, tuple(group)) for uid, group in groups.items()]


def _choose(folder: Path, all_series: Sequence[Series], sequence: str, wanted: str) -> Series:
    if sequence not in SEQUENCES:
        raise DatasetError(f"no sequence {sequence!r}, expected one of {', '.join(SEQUENCES)}")
    names = [
        (series, {series.number, series.uid, series.description.casefold()})
        for series in all_series
    ]
    fitting = [series for series, own in names if {wanted, wanted.casefold()} & own]
    if len(fitting) == 1:
        return fitting[0]
    said = f"{len(fitting)} series are {wanted!r}" if fitting else f"no series {wanted!r}"
    offered = ", ".join(map(str, fitting or all_series))
    hint = "choose by UID" if fitting else "choose by number"
    raise DatasetError(f"{folder}: {said}, of {offered} - {hint}")


def _recognise(
    folder: Path, all_series: Sequence[Series], chosen: Mapping[str, Series]
) -> tuple[dict[str, Series], list[str]]:
    """Give each sequence its one series; what is chosen by hand is not asked again."""
    rest = [series for series in all_series if series not in chosen.values()]
    recognised = {series: recognise_sequence(series.images[0].header) for series in rest}
    notes = [
        f"{series} left out: {recognition.reason}"
        for series, recognition in recognised.items()
        if not recognition.sequences
    ]
    found = {}
    for sequence in SEQUENCES:
        fitting = [s for s, seen in recognised.items() if sequence in seen.sequences]
        if sequence in chosen:
            found[sequence] = chosen[sequence]
            notes += [f"{series} left out: {sequence} was chosen" for series in fitting]
        elif fitting:
            found[sequence] = _take_only(folder, sequence, fitting, recognised)
    if not found:
        said = ", ".join(map(str, all_series))
        raise DatasetError(f"{folder}: no t1, t1ce, t2 or flair in {said} - choose, as by --t1 3")
    return found, notes


def _take_only(
    folder: Path,
    sequence: str,
    fitting: Sequence[Series],
    recognised: Mapping[Series, Recognition],
) -> Series:
    for series in fitting:
        seen = recognised[series]
        if len(seen.sequences) > 1:
            options = " or ".join(f"--{name} {series.number}" for name in seen.sequences)
            raise DatasetError(f"{folder}: {series} is {seen.reason} - say which by {options}")
    if len(fitting) > 1:
        offered = ", ".join(map(str, fitting))
        option = f"--{sequence} {fitting[0].number}"
        raise DatasetError(
            f"{folder}: {len(fitting)} series for {sequence}: {offered} - choose, as by {option}"
        )
    return fitting[0]


def _check_one_study(folder: Path, found: Mapping[str, Series]) -> None:
    studies: dict[str, Series] = {}
    for series in found.values():
        studies.setdefault(read_text(series.images[0].header, "StudyInstanceUID"), series)
    if len(studies) > 1:
        one, other, *_ = studies.values()
        raise DatasetError(
            f"{folder}: {one} and {other} are of different studies - give each visit its own folder"
        )
