"""What a dataset.json declares: channels, labels and cases, of the decathlon or of nnU-Net."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data_prep.brats.labels import scheme_of_classes, scheme_of_regions
from data_prep.errors import DatasetError
from data_prep.schemes import LabelScheme

FILE = "dataset.json"


@dataclass(frozen=True)
class Declaration:
    """`listed` are the files that must exist; it is empty where the folder is the list."""

    channels: tuple[str, ...] = ()
    scheme: LabelScheme | None = None
    listed: tuple[Path, ...] = ()


def read_declaration(root: Path) -> Declaration:
    """Read `root/dataset.json`; an absent one declares nothing."""
    path = root / FILE
    if not path.exists():
        return Declaration()
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        return Declaration(_channels(content), _scheme(content), tuple(_listed(content)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DatasetError(
            f"{path} cannot be understood ({type(error).__name__}: {error}); expected JSON with "
            f"channel_names or modality, and labels, as in the decathlon or nnU-Net"
        ) from error


def _channels(content: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    names = content.get("channel_names") or content.get("modality") or {}
    return tuple(str(names[str(index)]) for index in range(len(names)))


def _scheme(content: Mapping[str, Mapping[str, object]]) -> LabelScheme | None:
    """Read `{"1": name}` of the decathlon, `{name: 1}` or, for regions, `{name: [1, 2]}`."""
    declared = content.get("labels")
    if not declared:
        return None
    if all(name.isdigit() for name in declared):
        return scheme_of_classes({int(value): str(name) for value, name in declared.items()})
    values = {name: _values(value) for name, value in declared.items()}
    classes = {members[0]: name for name, members in values.items() if len(members) == 1}
    if len(classes) == len(values):
        return scheme_of_classes(classes)
    return scheme_of_regions({name: v for name, v in values.items() if v != (0,)})


def _values(declared: object) -> tuple[int, ...]:
    if isinstance(declared, list):
        return tuple(int(value) for value in declared)
    if isinstance(declared, int):
        return (declared,)
    raise TypeError(f"label {declared!r} is neither a value nor a list of values")


def _listed(content: Mapping[str, object]) -> Iterator[Path]:
    for key in ("training", "test"):
        entries = content.get(key)
        for entry in entries if isinstance(entries, list) else []:
            files = entry if isinstance(entry, dict) else {"image": entry}
            for named in (files[role] for role in ("image", "label") if role in files):
                yield from map(Path, named if isinstance(named, list) else [str(named)])
