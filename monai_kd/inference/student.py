"""What a bundle says of its student, read without running anything that lies in it."""

import hashlib
import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_prep.brats.labels import scheme_of_classes, scheme_of_regions
from data_prep.brats.sequences import canonical_names, is_known_study
from data_prep.errors import DatasetError, check_folder
from data_prep.schemes import LabelScheme
from monai_kd.outputs import Task

Facts = Mapping[str, Any]
KINDS = ("regions", "classes", "classification")
BACKGROUND = "background"
# How `preparation` prepares a scan, in the words of a bundle; the spacing may be the scan's own.
RESAMPLE = "ResampleToSpacingd"
STEPS: tuple[tuple[str, Facts | None], ...] = (
    ("LoadImaged", {"image_only": True, "ensure_channel_first": True}),
    ("CheckImaged", None),
    ("Orientationd", {"axcodes": "RAS", "labels": None}),
    (RESAMPLE, None),
    ("CropForegroundd", None),
    ("NormalizeForegroundd", {}),
)
FIX = "pack or copy the bundle again"
SMALL_EDGE = 48
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Student:
    """A bundle's folder, and what its configuration and metadata say; `sha256` is of all of it.

    Channels and outputs of the `task` are in the network's order, and `labels` names the values of
    its masks. `window` is that of training, and every edge that the network takes is a multiple of
    `divisor`. `network` is its definition: a name and plain arguments. It `takes_gaps` if it was
    trained on cases of which channels were missing.
    """

    folder: Path
    name: str
    version: str
    sha256: str
    task: Task
    labels: Mapping[int, str]
    spacing_mm: tuple[float, float, float] | None
    window: Triple
    divisor: int
    network: Facts
    takes_gaps: bool = False

    @property
    def channels(self) -> tuple[str, ...]:
        """What it takes."""
        return self.task.channels

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it finds, for people: the widest first, the background left out."""
        return tuple(sorted(self.task.scored, key=lambda name: -len(self.task.outputs[name])))

    @property
    def has_known_looks(self) -> bool:
        """Whether data_prep knows how its channels look, and so can judge their voxels."""
        return is_known_study(self.channels)

    def among(self, scans: Container[str]) -> list[str]:
        """The channels that it takes and that are there, in its order."""
        return [name for name in self.channels if name in scans]

    def missing(self, scans: Container[str]) -> list[str]:
        """The channels that it takes and that are not there."""
        return [name for name in self.channels if name not in scans]

    @property
    def fixed_window(self) -> Triple | None:
        """The window to keep to in small images: in training they were seen without padding.

        On 50 images of 35 x 51 x 35 voxels a student of 32^3 had a Dice of 0.83 when it was given
        them whole, padded to 48 x 64 x 48, and of 0.86 in its own windows.
        """
        return self.window if max(self.window) < SMALL_EDGE else None

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
        """What the label values mean, and the outputs that they make."""
        outputs = {name: self.task.outputs[name] for name in self.outputs}
        return replace(scheme_of_classes(self.labels), regions=outputs)


def read_student(folder: Path) -> Student:
    """Read a bundle's JSON files; raise a DatasetError of one line where something is missing."""
    check_folder(folder)
    config = _read_json(folder / "configs" / "inference.json")
    metadata = _read_json(folder / "configs" / "metadata.json")
    try:
        return _gather(folder, config, metadata)
    except DatasetError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{folder} describes no student that can be run here ({_tell(error)}): {FIX}"
        ) from error


def _gather(folder: Path, config: Facts, metadata: Facts) -> Student:
    tensors = metadata["network_data_format"]
    image, labels = tensors["inputs"]["image"], _labels(tensors["post_processed_outputs"]["pred"])
    x, y, z = map(int, config["window"])
    return Student(
        folder=folder,
        name=str(metadata["name"]),
        version=str(metadata["version"]),
        sha256=_hash_files(folder),
        task=_task(
            metadata.get("output_kind", KINDS[0]), image, tensors["outputs"]["pred"], labels
        ),
        labels=labels,
        spacing_mm=_spacing(config["preprocessing"]["transforms"]),
        window=(x, y, z),
        divisor=_divisor(image["spatial_shape"]),
        network=dict(config["network_def"]),
        takes_gaps=float(metadata.get("modality_dropout", 0)) > 0,
    )


def _read_json(path: Path) -> Facts:
    if not path.is_file():
        below = path.relative_to(path.parent.parent).as_posix()
        raise DatasetError(f"{path.parent.parent} is no bundle, it has no {below}: {FIX}")
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({_tell(error)}): {FIX}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object: {FIX}")
    return content


def _task(kind: Any, image: Facts, pred: Facts, labels: Mapping[int, str]) -> Task:
    spatial_dims = len(image["spatial_shape"])
    if kind not in KINDS:
        raise ValueError(f"its output_kind is {kind!r}, expected {', '.join(KINDS)}")
    if kind == KINDS[2] or spatial_dims != 3:
        raise DatasetError(
            f"a student of {kind} in {spatial_dims}D: predict segments volumes - run its bundle by "
            "python -m monai.bundle"
        )
    names, channels = _names(pred), canonical_names(_names(image))
    outputs = _regions(names, labels) if kind == KINDS[0] else _classes(names, labels)
    return Task(kind, spatial_dims, channels, outputs)


def _names(tensor: Facts) -> tuple[str, ...]:
    """The names of a tensor's channels, each a part of a file's name later on."""
    names = tuple(_in_order(tensor["channel_def"]))
    if len(set(names)) != tensor["num_channels"]:
        raise ValueError(
            f"{len(set(names))} channels have names, expected {tensor['num_channels']}"
        )
    odd = [name for name in names if not name.isprintable() or {*name} & {*"/\\"}]
    if odd:
        raise ValueError(f"{odd[0]!r} is no name")
    return names


def _regions(names: Sequence[str], labels: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    """The label values of each region: by data_prep's grammar, or else by the labels' names."""
    channels = scheme_of_regions({name: (channel,) for channel, name in enumerate(names)}).regions
    known = scheme_of_classes(labels).regions
    regions = {}
    for name in sorted(channels, key=lambda name: channels[name]):
        named = tuple(value for value, label in labels.items() if name in label.split("/"))
        regions[name] = named or known.get(name, ())
        if not regions[name]:
            raise ValueError(
                f"its region {name} is in none of its labels {', '.join(labels.values())}"
            )
    return regions


def _classes(names: Sequence[str], labels: Mapping[int, str]) -> Mapping[str, tuple[int, ...]]:
    values = {label: (value,) for value, label in labels.items()}
    if names[0].lower() != BACKGROUND or sorted(names[1:]) != sorted(values):
        raise ValueError(f"its classes are {', '.join(names)}, expected those of its labels")
    return {BACKGROUND: (0,)} | {name: values[name] for name in names[1:]}


def _labels(pred: Facts) -> dict[int, str]:
    """Names of label values, 0 apart."""
    values = {int(value): str(name) for value, name in pred["channel_def"].items()}
    return {value: values[value] for value in sorted(values) if value != 0}


def _in_order(names: Mapping[str, str]) -> list[str]:
    return [str(names[channel]) for channel in sorted(names, key=int)]


def _spacing(steps: Sequence[Facts]) -> tuple[float, float, float] | None:
    """The voxels' size where a step resamples to one; any other preparation is refused."""
    by_name = {_name_of(step): step for step in steps}
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


def _name_of(step: Facts) -> str:
    """The class of a step; a script of ours is known by any name of what it normalises over."""
    target = str(step["_target_"])
    ours = re.fullmatch(r"scripts\.normalize_\w+\.Normalize\w+d", target)
    return "NormalizeForegroundd" if ours else target.rpartition(".")[2]


def _divisor(spatial_shape: Sequence[str]) -> int:
    found = [re.fullmatch(r"(\d+)\*n", str(edge)) for edge in spatial_shape]
    divisors = {int(match[1]) for match in found if match}
    if len(divisors) != 1 or not all(found):
        raise ValueError(f"its sizes are {spatial_shape}, expected multiples such as 16*n")
    return divisors.pop()


def _hash_files(folder: Path) -> str:
    """One hash of all files of configs and models, names included."""
    digest = hashlib.sha256()
    paths = (path for room in ("configs", "models") for path in sorted((folder / room).rglob("*")))
    for path in filter(Path.is_file, paths):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _tell(error: Exception) -> str:
    missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return " ".join(missing.split())
