"""What a person asks to be segmented, as cases: folders, a file of several channels, or files."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep.brats.sequences import SEQUENCES, is_brain_study
from data_prep.case import UNKNOWN, Case, Dataset, ImageFile
from data_prep.dicom.files import holds_dicom, printable
from data_prep.errors import DatasetError, check_folder
from data_prep.findings import WHOLE_DATASET, Finding, errors_of
from data_prep.layouts import find_dataset
from data_prep.layouts.channels import find_by_channel, match_channels, rename_channels
from data_prep.layouts.forgotten import find_forgotten
from data_prep.layouts.loose import BY_NAME, find_loosely, name_channels
from data_prep.layouts.parts import stem_of
from data_prep.rules import Rule


@dataclass(frozen=True)
class Request:
    """One case to segment, without its label; `findings` are errors that its names alone show.

    Which files a case in `dicom`, a folder, has is found when it is opened; `series` names those
    of channels that its headers do not name.
    """

    name: str
    case: Case
    dataset: Dataset
    findings: tuple[Finding, ...] = ()
    dicom: Path | None = None
    series: Mapping[str, str] = field(default_factory=dict)


def find_requests(
    inputs: Sequence[Path],
    *,
    channels: Sequence[str] = SEQUENCES,
    files: Mapping[str, Path] | None = None,
    order: Sequence[str] | None = None,
) -> list[Request]:
    """List the cases in `inputs`, in a stable order, or the one whose `files` are named by channel.

    Beside a folder of DICOM, `files` names series by number, description or UID. A case may lack
    some of the `channels` that are asked for. Two cases of one name would overwrite one another, so
    they are refused before any work.
    """
    finder = _Finder(tuple(channels), order)
    paths = dict.fromkeys(Path(os.path.abspath(path)) for path in inputs)
    found = [request for path in paths for request in finder.find(path)]
    if files:
        found = _with_series(found, files) if found else [finder.from_files(files)]
    _check_names(found)
    return sorted(found, key=lambda request: request.name)


def describe_request(request: Request) -> str:
    """Say which sequences were found, by which names; channels come in their own order."""
    images = request.case.images
    numbered = any(image.channel is not None for image in images.values())
    names = sorted(images, key=lambda name: images[name].channel or 0) if numbered else images
    how = "as channels of one file" if numbered else f"({request.dataset.layout})"
    return f"{request.name}  {' '.join(names) or 'nothing'} found {how}"


@dataclass(frozen=True)
class _Finder:
    """Finds the cases of a path for a student that takes `channels`."""

    channels: tuple[str, ...]
    order: Sequence[str] | None

    def find(self, path: Path) -> list[Request]:
        if path.is_dir():
            return self._in_folder(path)
        if not (path.exists() or path.is_symlink()):
            check_folder(path)
        return [self._from_file(path)]

    def _in_folder(self, folder: Path) -> list[Request]:
        try:
            dataset = find_dataset(folder, order=self.order, partial=True)
        except DatasetError:
            loose = self._find_loosely(folder)
            if loose is None and self.order is None and holds_dicom(folder):
                return [self._from_dicom(folder)]
            if loose is None or (self.order and loose.layout == BY_NAME):  # else it is ignored
                raise
            dataset = loose
        requests = list(_requests(rename_channels(dataset, self.channels)))
        if not requests:
            raise DatasetError(f"no case with an image in {folder}")
        return requests

    def _find_loosely(self, folder: Path) -> Dataset | None:
        by_channel = (
            None
            if is_brain_study(self.channels) or self.order
            else find_by_channel(folder, self.channels)
        )
        return by_channel or find_loosely(folder, self.order)

    def _from_dicom(self, folder: Path) -> Request:
        if not is_brain_study(self.channels):
            raise DatasetError(
                f"{folder} holds DICOM, whose headers do not name {' or '.join(self.channels)} - "
                "convert it, for example with dcm2niix"
            )
        request = self._lone(printable(folder.name) or "case", folder, "DICOM", {})
        return replace(request, dicom=folder)

    def _from_file(self, path: Path) -> Request:
        if stem_of(path) == path.name:
            raise DatasetError(f"{path} is neither a folder nor named .nii, .nii.gz, .hdr or .img")
        only = self.channels if len(self.channels) == 1 else ()
        names = name_channels(path, self.order) or only
        if not names:
            first, example = self.channels[0], ",".join(self.channels)
            raise DatasetError(
                f"{path} is one file; if it holds all channels, say in which order, as in --order "
                f"{example}; if it is one of them, give its folder, or --image {first}=FILE"
            )
        matched = match_channels(names, self.channels).values()
        numbers = range(len(names)) if len(names) > 1 else [None]
        images = {n: ImageFile(path, number) for n, number in zip(matched, numbers, strict=True)}
        return self._lone(stem_of(path), path.parent, "file", images)

    def from_files(self, files: Mapping[str, Path]) -> Request:
        paths = {name: Path(os.path.abspath(files[name])) for name in files}
        images = {name: ImageFile(path) for name, path in paths.items()}
        root = _shared_folder(paths.values())
        return self._lone(_shared_name(paths.values()), root, "given by option", images)

    def _lone(self, name: str, root: Path, layout: str, images: Mapping[str, ImageFile]) -> Request:
        ordered = {c: images[c] for c in (*self.channels, *images) if c in images}
        dataset = Dataset(root, layout, tuple(ordered), {}, None, ())
        odd = () if name.isprintable() else (Finding(Rule.ODD_NAME, name, "", "not all text"),)
        return Request(name, Case(name, name, UNKNOWN, ordered, None), dataset, odd)


def _with_series(found: Sequence[Request], files: Mapping[str, Path]) -> list[Request]:
    if len(found) != 1 or found[0].dicom is None:
        raise DatasetError(
            "give either INPUT or the files of one case by option; beside one folder of DICOM "
            "these options name series"
        )
    return [replace(found[0], series={name: str(named) for name, named in files.items()})]


def _requests(dataset: Dataset) -> Iterator[Request]:
    errors: dict[str, list[Finding]] = {}
    for finding in errors_of(dataset.findings):
        if finding.rule is Rule.CASE_TWICE:
            raise DatasetError(f"two cases are called {finding.case}: {finding.detail}; {_APART}")
        if finding.rule is not Rule.MISSING_MODALITY and not _is_of_label(finding):
            errors.setdefault(finding.case, []).append(finding)
    whole = {case.name: case for case in dataset.cases}
    for finding in find_forgotten(dataset, {*whole, *errors}):
        errors[finding.case] = [finding]
    settings = replace(dataset, cases=(), findings=())
    for name in sorted({*whole, *errors} - {WHOLE_DATASET}):
        case = whole.get(name) or Case(name, name, UNKNOWN, {}, None)
        yield Request(name, replace(case, label=None), settings, tuple(errors.get(name, ())))


_APART = "rename one of them, or give each its own output folder"


def _is_of_label(finding: Finding) -> bool:
    """A label is not looked at here, so that what is wrong with its name is no matter."""
    in_labels = Path(finding.file).parent.name.lower().startswith("labels")
    return in_labels or finding.detail.startswith("label also in ")


def _shared_name(paths: Iterable[Path]) -> str:
    """What the names of the files begin with, to the last separator; else that of their folder."""
    stems = [stem_of(path) for path in paths]
    shared = re.match(r"(.*)[\W_]", os.path.commonprefix(stems))  # noqa: RUF071  (of letters)
    name = shared[1].rstrip("_-. ") if shared else ""
    return name or _shared_folder(paths).name or "case"


def _shared_folder(paths: Iterable[Path]) -> Path:
    """The folder that holds all of them; nothing where they lie on several drives of Windows."""
    try:
        return Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:
        return Path()


def _check_names(requests: Sequence[Request]) -> None:
    first: dict[str, Request] = {}  # Windows and macOS take a and A for one
    for request in requests:
        earlier = first.setdefault(request.name.casefold(), request)
        if earlier is not request:
            places = f"in {earlier.dataset.root} and in {request.dataset.root}"
            raise DatasetError(f"two cases are called {request.name}: {places}; {_APART}")
