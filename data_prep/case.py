"""What a folder of scans holds, whatever its layout: cases with their files, by modality."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_prep.findings import Finding
from data_prep.schemes import LabelScheme

GRADES = ("HGG", "LGG")
UNKNOWN = "unknown"
PHANTOMS_FILE = "phantoms.json"  # what a folder of finished phantoms is known by


@dataclass(frozen=True)
class ImageFile:
    """Where the voxels of one modality lie: a 3D file, or one channel of a 4D file."""

    path: Path
    channel: int | None = None


@dataclass(frozen=True)
class Case:
    """One visit of one patient: an image per modality and, where it is known, the label."""

    name: str
    patient: str
    grade: str
    images: Mapping[str, ImageFile]
    label: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Each file once: images in the order of the modalities, then the label."""
        paths = [image.path for image in self.images.values()]
        return tuple(dict.fromkeys(paths if self.label is None else [*paths, self.label]))


@dataclass(frozen=True)
class Dataset:
    """A folder as it was recognised.

    `mapping` tells a person which names were taken for which modality and for the label. `scheme`
    is None where neither the layout nor the person says what the labels mean. `findings` are what
    was seen from the names alone: a case that is not whole is found here and not in `cases`.
    """

    root: Path
    layout: str
    modalities: tuple[str, ...]
    mapping: Mapping[str, str]
    scheme: LabelScheme | None
    cases: tuple[Case, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def origin(self) -> str:
        """Tell made-up cases from those of patients: `phantoms` or `scans`."""
        return "phantoms" if (self.root / PHANTOMS_FILE).is_file() else "scans"
