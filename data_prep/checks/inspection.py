"""One case, read and checked: its scans as 3D volumes, and what is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.brats.sequences import is_known_study
from data_prep.case import Case, Dataset, ImageFile
from data_prep.checks.appearance import appearance_faults
from data_prep.checks.comparisons import (
    grid_faults,
    label_place_fault,
    place,
    same_modality_faults,
)
from data_prep.checks.geometry import Fault, geometry_faults, write_shape
from data_prep.checks.intensities import intensity_faults, type_faults
from data_prep.checks.labels import count_values, label_faults
from data_prep.findings import Finding, errors_of, spoilt_cases
from data_prep.rules import Rule
from data_prep.scans import Scan, ScanError, read_scan


@dataclass(frozen=True)
class Inspection:
    """One case with its voxels: an image that could not be read is not among the `scans`.

    All scans are 3D, as they are stored. `hashes` are the sha256 of the files that could be read,
    `label_counts` the voxels per value other than 0.
    """

    case: Case
    scans: Mapping[str, Scan]
    label: Scan | None
    hashes: Mapping[Path, str]
    label_counts: Mapping[float, int]
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing was found that is an error."""
        return not spoilt_cases(self.findings)


def inspect_case(
    case: Case, *, dataset: Dataset, threads: int = 1, looks: bool = False
) -> Inspection:
    """Read all files of `case` to their last byte and check them one by one, then together.

    With `looks`, the sequences of a brain are judged by what their voxels show as well; `predict`
    does so in its verdict, after it may have moved them.

    `threads` of them are read and looked through at once: for one case that somebody waits for.
    """
    inspector = _Inspector(case, dataset, threads, looks)
    try:
        return inspector.inspect()
    except Exception as error:  # one case that nobody foresaw must not end all others
        return Inspection(case, {}, None, {}, {}, (not_understood(case, error),))


def not_understood(case: Case, error: Exception) -> Finding:
    """What is said of a case on which the code itself has failed."""
    return Finding(Rule.NOT_UNDERSTOOD, case.name, "", f"{type(error).__name__}: {error}")


def merge_alike(findings: Sequence[Finding]) -> list[Finding]:
    """Tell once, at the first file, what is the same in several files of a case."""
    groups: dict[tuple[Rule, str, str], list[Finding]] = {}
    for finding in findings:
        key = (finding.rule, finding.case, finding.detail)
        groups.setdefault(key, []).append(finding)
    return [_merge(group) for group in groups.values()]


class _Inspector:
    """What has been read and found of one case so far."""

    def __init__(self, case: Case, dataset: Dataset, threads: int, looks: bool) -> None:
        self.case = case
        self.dataset = dataset
        self.threads = threads
        self.stripped = is_known_study(dataset.modalities)
        self.looks = looks and self.stripped
        self.findings: list[Finding] = []
        self.opened: dict[Path, Scan | ScanError] = {}
        self.files: dict[Path, Scan | None] = {}
        self.counts: dict[float, int] = {}

    def inspect(self) -> Inspection:
        """Check each image, the label, then all that passed beside each other."""
        with ThreadPoolExecutor(self.threads) as pool:  # whose work runs without Python's lock
            files = self.case.files
            self.opened = dict(zip(files, pool.map(_open, files), strict=True))
            judged = list(pool.map(self._judge_image, self.case.images.values()))
        images = {
            name: self._take_image(name, file, *found)
            for (name, file), found in zip(self.case.images.items(), judged, strict=True)
        }
        scans = {name: scan for name, scan in images.items() if scan is not None}
        label = None if self.case.label is None else self._read_label(self.case.label)
        self._compare(scans, label)
        hashes = {path: scan.sha256 for path, scan in self.files.items() if scan is not None}
        findings = tuple(merge_alike(self.findings))
        return Inspection(self.case, scans, label, hashes, self.counts, findings)

    def _judge_image(self, file: ImageFile) -> tuple[Scan | None, list[Fault], list[Fault]]:
        """Return the volume, what is wrong with its header, and then with its intensities."""
        scan = self.opened[file.path]
        if isinstance(scan, ScanError):
            return None, [], []
        volume = _take_volume(scan, file.channel)
        faults = list(_header_faults(volume, file.channel))
        if _spoil(faults):
            return None, faults, []
        return volume, faults, list(intensity_faults(volume.values, stripped=self.stripped))

    def _take_image(
        self,
        name: str,
        file: ImageFile,
        volume: Scan | None,
        of_header: list[Fault],
        of_voxels: list[Fault],
    ) -> Scan | None:
        self._take(file.path)
        self._note(file.path, of_header)
        self._note(file.path, of_voxels, name if file.channel is not None else "")
        return None if _spoil(of_voxels) else volume

    def _read_label(self, path: Path) -> Scan | None:
        scan = self._take(path)
        if scan is None:
            return None
        label = _take_volume(scan, None)
        faults = list(_header_faults(label))
        if not _spoil(faults):
            values = label.values
            self.counts = count_values(values)
            faults += label_faults(self.counts, scheme=self.dataset.scheme, dtype=values.dtype)
        self._note(path, faults)
        return None if _spoil(faults) else label

    def _take(self, path: Path) -> Scan | None:
        if path not in self.files:
            scan = self.opened[path]
            self.files[path] = None if isinstance(scan, ScanError) else scan
            if isinstance(scan, ScanError):
                self._note(path, [(scan.rule, str(scan))])
            elif scan.plain_as_gzip:
                self._note(path, [(Rule.PLAIN_AS_GZIP, "begins with no gzip mark")])
        return self.files[path]

    def _compare(self, scans: Mapping[str, Scan], label: Scan | None) -> None:
        images = {name: place(scan) for name, scan in scans.items()}
        faults = [*grid_faults(images), *same_modality_faults(images)]
        if self.looks and not (_spoil([f for _, f in faults]) or errors_of(self.findings)):
            faults += appearance_faults(images)
        for name, fault in faults:
            self._note(self.case.images[name].path, [fault])
        fault_of_label = label_place_fault(place(label), images) if label and images else None
        if self.case.label is not None and fault_of_label is not None:
            self._note(self.case.label, [fault_of_label])

    def _note(self, path: Path, faults: list[Fault], modality: str = "") -> None:
        root = self.dataset.root
        file = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        for rule, detail in faults:
            said = f"{modality}: {detail}" if modality else detail
            self.findings.append(Finding(rule, self.case.name, file, said))


def _open(path: Path) -> Scan | ScanError:
    try:
        return read_scan(path)
    except ScanError as error:
        return error


def _merge(alike: Sequence[Finding]) -> Finding:
    first, more = alike[0], len({finding.file for finding in alike}) - 1
    said = f"; so in {more} more file{'' if more == 1 else 's'}" if more else ""
    return replace(first, detail=first.detail + said)


def _take_volume(scan: Scan, channel: int | None) -> Scan:
    """Cut one channel out, or drop sides of one voxel beyond the third, which mean nothing."""
    voxels = scan.voxels
    if channel is not None and voxels.ndim == 4 and channel < voxels.shape[3]:
        return scan.take_channel(channel)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    return replace(scan, voxels=voxels)


def _header_faults(volume: Scan, channel: int | None = None) -> Iterator[Fault]:
    declared = volume.header.get_data_shape()[3:]
    if channel is not None and channel >= (declared or (1,))[0]:
        yield Rule.NOT_3D, f"no channel {channel} in shape {write_shape(volume.voxels.shape)}"
        return
    yield from type_faults(volume)
    yield from geometry_faults(volume)


def _spoil(faults: list[Fault]) -> bool:
    return any(rule.severity == "error" for rule, _ in faults)
