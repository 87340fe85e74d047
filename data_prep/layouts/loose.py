"""Names of scans beyond the known layouts: what clinics call sequences, and numbers of nnU-Net."""

import re
from collections.abc import Sequence
from pathlib import Path

from data_prep.brats.sequences import (
    NAMES_DECATHLON,
    SEQUENCES,
    canonical_names,
    in_our_order,
    sequence_called,
)
from data_prep.case import Dataset, ImageFile
from data_prep.errors import DatasetError
from data_prep.layouts.declaration import read_declaration
from data_prep.layouts.parts import (
    LABEL,
    Identity,
    Part,
    Reading,
    list_volumes,
    make_dataset,
    stem_of,
)

BY_NAME = "sequences by name"
_NUMBERED = re.compile(r"(.+)_(\d{4})")
_DECATHLON = (re.compile(r"BRATS_\d+", re.IGNORECASE), tuple(NAMES_DECATHLON))


def find_loosely(folder: Path, order: Sequence[str] | None) -> Dataset | None:
    """Read a folder of no known layout: one case, a folder for each, or numbered files."""
    volumes = list_volumes(folder)
    reading = _read_files_of_task(folder, volumes, order) or _read_words(folder, volumes)
    return make_dataset(folder, reading, partial=True) if reading else None


def name_channels(file: Path, order: Sequence[str] | None) -> tuple[str, ...]:
    """Return the sequences of a 4D file: as ordered, as declared above it, as in the decathlon."""
    above = (read_declaration(folder).channels for folder in (file.parent, file.parent.parent))
    declared = tuple(order or next(filter(None, above), ()))
    pattern, usual = _DECATHLON
    if not declared and pattern.fullmatch(stem_of(file)):
        declared = usual
    if len(set(declared)) < len(declared):
        raise DatasetError(f"{', '.join(declared)}: expected each channel to have its own name")
    return canonical_names(declared) if declared else ()


def name_sequence(file: Path) -> str | None:
    """Tell the sequence from the words of a name; None where it names none, or two."""
    return sequence_called(re.sub(r"[\W_]+", " ", stem_of(file).lower()).split())


def _read_files_of_task(
    folder: Path, volumes: Sequence[Path], order: Sequence[str] | None
) -> Reading | None:
    """Read files as nnU-Net and the decathlon name them, without their folders."""
    flat = [volume for volume in volumes if len(volume.parts) == 1]
    names = name_channels(folder / flat[0], order) if flat else ()
    matches = {volume: _NUMBERED.fullmatch(stem_of(volume)) for volume in flat}
    if not names:
        return None
    parts: list[Part] = []
    for volume, match in matches.items():
        stem = match[1] if match else stem_of(volume)
        channels = [int(match[2])] if match else range(len(names))
        for channel in channels:
            if channel >= len(names):
                raise DatasetError(f"{folder / volume}: {len(names)} sequences are named by order")
            image = ImageFile(folder / volume, None if match else channel)
            parts.append(Part(Identity(stem, ".", stem), names[channel], image))
    return _reading("nnU-Net" if any(matches.values()) else "decathlon", names, parts)


def _read_words(folder: Path, volumes: Sequence[Path]) -> Reading | None:
    parts, strays = [], []
    for volume in volumes:
        sequence = name_sequence(volume) if len(volume.parts) <= 2 else None
        if sequence is None:
            strays.append(volume)
            continue
        place = (folder / volume).parent
        identity = Identity(place.name, volume.parent.as_posix(), place.name)
        parts.append(Part(identity, sequence, ImageFile(folder / volume)))
    return _reading(BY_NAME, SEQUENCES, parts, strays) if parts else None


def _reading(
    layout: str, names: Sequence[str], parts: Sequence[Part], strays: Sequence[Path] = ()
) -> Reading:
    patterns = {name: f"*{name}*" for name in (*names, LABEL)}
    return Reading(layout, in_our_order(names), patterns, None, tuple(parts), tuple(strays))
