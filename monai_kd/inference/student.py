"""What a bundle says of its student, read without running anything that lies in it."""

import hashlib
import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import DatasetError, check_folder
from data_prep.schemes import LabelScheme, scheme_of_classes, scheme_of_regions

Facts = Mapping[str, Any]
REGIONS = ("TC", "WT", "ET")
# How `preparation` prepares a scan, in the words of a bundle; the spacing may be the scan's own.
RESAMPLE = "ResampleToSpacingd"
STEPS: tuple[tuple[str, Facts | None], ...] = (
    ("LoadImaged", {"image_only": True, "ensure_channel_first": True}),
    ("CheckImaged", None),
    ("Orientationd", {"axcodes": "RAS", "labels": None}),
    (RESAMPLE, None),
    ("CropForegroundd", None),
    ("NormalizeBraind", {}),
)
FIX = "pack or copy the bundle again"
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Student:
    """A bundle's folder, and what its configuration and metadata say; `sha256` is of all of it.

    `modalities` and `regions` are in the order of the network's channels. `labels` are the values
    that the network's regions make. `window` is that of training, and every edge that the network
    takes is a multiple of `divisor`. `network` is its definition: a name and plain arguments.
    It `takes_gaps` if it was trained on cases of which sequences were missing.
    """

    folder: Path
    name: str
    version: str
    sha256: str
    modalities: tuple[str, ...]
    regions: tuple[str, ...]
    labels: Mapping[int, str]
    spacing_mm: tuple[float, float, float] | None
    window: Triple
    divisor: int
    network: Facts
    takes_gaps: bool = False

    def among(self, scans: Container[str]) -> list[str]:
        """The sequences that it takes and that are there, in its order."""
        return [name for name in self.modalities if name in scans]

    def missing(self, scans: Container[str]) -> list[str]:
        """The sequences that it takes and that are not there."""
        return [name for name in self.modalities if name not in scans]

    @property
    def onnx_file(self) -> Path:
        """The network as a graph, for OpenVINO and ONNX Runtime."""
        return self.folder / "models" / "model.onnx"

    @property
    def checkpoint(self) -> Path:
        """The network's weights, for torch."""
        return self.folder / "models" / "model.pt"

    @property
    def scheme(self) -> LabelScheme:
        """What the label values mean."""
        return scheme_of_classes(self.labels)


def read_student(folder: Path) -> Student:
    """Read a bundle's JSON files; raise a DatasetError of one line where something is missing."""
    check_folder(folder)
    config = _read_json(folder / "configs" / "inference.json")
    metadata = _read_json(folder / "configs" / "metadata.json")
    try:
        return _gather(folder, config, metadata)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{folder} describes no student that can be run here ({_tell(error)}): {FIX}"
        ) from error


def _gather(folder: Path, config: Facts, metadata: Facts) -> Student:
    tensors = metadata["network_data_format"]
    image, pred = tensors["inputs"]["image"], tensors["outputs"]["pred"]
    return Student(
        folder=folder,
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        sha256=_hash_files(folder),
        modalities=_modalities(image),
        regions=_regions(pred),
        labels=_labels(tensors["post_processed_outputs"]["pred"]),
        spacing_mm=_spacing(config["preprocessing"]["transforms"]),
        window=_three_edges(config["window"]),
        divisor=_divisor(image["spatial_shape"]),
        network=dict(config["network_def"]),
        takes_gaps=float(metadata.get("modality_dropout", 0)) > 0,
    )


def _read_json(path: Path) -> Facts:
    if not path.is_file():
        raise DatasetError(f"{path.parent.parent} is no bundle, it has no {_below(path)}: {FIX}")
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({_tell(error)}): {FIX}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object: {FIX}")
    return content


def _modalities(image: Facts) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _in_order(image["channel_def"]))
    if len(names) != image["num_channels"]:
        raise ValueError(f"{len(names)} channels have names, expected {image['num_channels']}")
    return names


def _regions(pred: Facts) -> tuple[str, ...]:
    names = _in_order(pred["channel_def"])
    scheme = scheme_of_regions({name: (channel,) for channel, name in enumerate(names)})
    regions = tuple(sorted(scheme.regions, key=lambda region: scheme.regions[region]))
    if set(regions) != set(REGIONS):
        raise ValueError(f"its regions are {', '.join(names)}, expected {', '.join(REGIONS)}")
    return regions


def _labels(pred: Facts) -> dict[int, str]:
    values = {int(value): str(name).lower() for value, name in pred["channel_def"].items()}
    labels = {value: name for value, name in values.items() if value != 0}
    if len(labels) != len(REGIONS) or set(scheme_of_classes(labels).regions) != set(REGIONS):
        raise ValueError(f"its labels {', '.join(labels.values())} are not a tumour's three parts")
    return labels


def _in_order(names: Mapping[str, str]) -> list[str]:
    return [str(names[channel]) for channel in sorted(names, key=int)]


def _spacing(steps: Sequence[Facts]) -> tuple[float, float, float] | None:
    """The voxels' size where a step resamples to one; any other preparation is refused."""
    by_name = {str(step["_target_"]).rpartition(".")[2]: step for step in steps}
    expected = [name for name, _ in STEPS if name != RESAMPLE or name in by_name]
    if list(by_name) != expected or len(steps) != len(expected):
        raise ValueError(f"it prepares scans by {', '.join(by_name)}, not {', '.join(expected)}")
    for name, known in STEPS:
        given = {k: v for k, v in by_name.get(name, {}).items() if k not in ("_target_", "keys")}
        if known is not None and given != known:
            raise ValueError(f"its {name} has {given}, expected {known}")
    if RESAMPLE not in by_name:
        return None
    x, y, z = map(float, by_name[RESAMPLE]["pixdim"])
    return x, y, z


def _three_edges(edges: Sequence[int]) -> Triple:
    x, y, z = map(int, edges)
    return x, y, z


def _divisor(spatial_shape: Sequence[str]) -> int:
    found = [re.fullmatch(r"(\d+)\*n", str(edge)) for edge in spatial_shape]
    divisors = {int(match[1]) for match in found if match}
    if len(divisors) != 1 or not all(found):
        raise ValueError(f"its sizes are {spatial_shape}, expected multiples such as 16*n")
    return divisors.pop()


def _hash_files(folder: Path) -> str:
    """One hash of all files of configs and models, names included."""
    digest = hashlib.sha256()
    for path in _list_files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _list_files(folder: Path) -> Iterator[Path]:
    for room in ("configs", "models"):
        yield from sorted(path for path in (folder / room).rglob("*") if path.is_file())


def _below(path: Path) -> str:
    return path.relative_to(path.parent.parent).as_posix()


def _tell(error: Exception) -> str:
    missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return " ".join(missing.split())
