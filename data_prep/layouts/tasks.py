"""Decathlon and nnU-Net: imagesTr/, labelsTr/ and a dataset.json that says what they hold.

The decathlon stacks the modalities of a case in one 4D file, nnU-Net numbers its files: `_0000`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from data_prep.brats.sequences import canonical_names, in_our_order
from data_prep.case import ImageFile
from data_prep.errors import DatasetError
from data_prep.findings import Finding
from data_prep.layouts.declaration import FILE, read_declaration
from data_prep.layouts.parts import LABEL, Identity, Part, Reading, ending_of, stem_of
from data_prep.rules import Rule

_PLACES = {"imagestr": "imagesTr", "labelstr": "imagesTr"}
_PLACES |= {"imagests": "imagesTs", "labelsts": "imagesTs"}
_NUMBER = re.compile(r"(?<=.)_\d{4}$")


def read_task(root: Path, volumes: Sequence[Path], order: Sequence[str] | None) -> Reading | None:
    """Read the cases below imagesTr and imagesTs; None if there is no imagesTr."""
    members = [volume for volume in volumes if volume.parent.as_posix().lower() in _PLACES]
    if not any(volume.parent.name.lower() == "imagestr" for volume in members):
        return None
    declaration = read_declaration(root)
    numbered = _is_numbered(members)
    members = [v for v in members if _is_label(v) or _has_number(v) or not numbered]
    declared = _checked_order(root, tuple(order or declaration.channels), members, numbered)
    names = canonical_names(declared)
    parts = tuple(part for volume in members for part in _parts(root, volume, names, numbered))
    listed = {path: _identity(path, numbered) for path in declaration.listed}
    known = set(listed.values()) or {part.identity for part in parts}
    return Reading(
        layout="nnU-Net" if numbered else "decathlon",
        modalities=in_our_order(names),
        patterns=_patterns(names, numbered, ending_of(members)),
        scheme=declaration.scheme,
        parts=tuple(part for part in parts if part.identity in known),
        strays=tuple(sorted(set(volumes) - set(members))),
        findings=(*_unlisted(root, parts, known), *_absent(listed, parts)),
        declared=_descriptions(names, declared, numbered),
    )


def _is_label(volume: Path) -> bool:
    return volume.parent.name.lower().startswith("labels")


def _is_numbered(members: Iterable[Path]) -> bool:
    """Tell nnU-Net by the numbers of most of its images, which its labels do not have."""
    images = [volume for volume in members if not _is_label(volume)]
    labels = {stem_of(volume) for volume in members if _is_label(volume)}
    numbered = [v for v in images if _has_number(v) and stem_of(v) not in labels]
    firsts = any(stem_of(volume).endswith("_0000") for volume in numbered)
    return firsts and 2 * len(numbered) > len(images)


def _has_number(volume: Path) -> bool:
    return _NUMBER.search(stem_of(volume)) is not None


def _checked_order(
    root: Path, names: tuple[str, ...], members: Iterable[Path], numbered: bool
) -> tuple[str, ...]:
    """Stop where a channel has no name: its place in a list is not to be guessed."""
    images = [volume for volume in members if not _is_label(volume)]
    channels = 1 + max(map(_channel, images)) if numbered else 1
    if len(names) < channels or len(set(names)) < len(names):
        said = ", ".join(names) or "nothing"
        raise DatasetError(
            f"{root} has images of {channels} or more channels, but {said} is declared for "
            f"them in {FILE} or by order; give each its own name, such as --order t1,t1ce,t2,flair"
        )
    return names


def _parts(root: Path, volume: Path, names: Sequence[str], numbered: bool) -> Iterator[Part]:
    identity = _identity(volume, numbered)
    if _is_label(volume):
        yield Part(identity, LABEL, ImageFile(root / volume))
    elif numbered:
        yield Part(identity, names[_channel(volume)], ImageFile(root / volume))
    else:
        for channel, name in enumerate(names):
            image = ImageFile(root / volume, channel if len(names) > 1 else None)
            yield Part(identity, name, image)


def _identity(volume: Path, numbered: bool) -> Identity:
    """Which case a file of the folder or of the list is; the old nnU-Net lists without number."""
    case = stem_of(volume)
    if numbered and not _is_label(volume):
        case = _NUMBER.sub("", case)
    folder = volume.parent.as_posix()
    return Identity(case, _PLACES.get(folder.lower(), folder), case)


def _channel(volume: Path) -> int:
    return int(stem_of(volume)[-4:])


def _patterns(names: Sequence[str], numbered: bool, ending: str) -> dict[str, str]:
    images = {
        name: f"*_{channel:04d}{ending}" if numbered else f"*{ending}"
        for channel, name in enumerate(names)
    }
    return images | {LABEL: f"*{ending}"}


def _descriptions(
    names: Sequence[str], declared: Sequence[str], numbered: bool
) -> Mapping[str, str]:
    channel = "" if numbered or len(names) == 1 else "channel {}, "
    return {
        name: f"({channel.format(number)}declared as {own})"
        for number, (name, own) in enumerate(zip(names, declared, strict=True))
    }


def _unlisted(root: Path, parts: Iterable[Part], listed: set[Identity]) -> Iterator[Finding]:
    files = {part.image.path: part.identity for part in parts if part.identity not in listed}
    for path, identity in files.items():
        file = path.relative_to(root).as_posix()
        yield Finding(Rule.NOT_LISTED, identity.name, file, f"left out, as {FILE} has it not")


def _absent(listed: Mapping[Path, Identity], parts: Iterable[Part]) -> Iterator[Finding]:
    given = {(part.identity, part.role == LABEL) for part in parts}
    for path, identity in listed.items():
        if (identity, _is_label(path)) not in given:
            detail = f"{FILE} names it, but there is no such file"
            yield Finding(Rule.ABSENT_FILE, identity.name, path.as_posix(), detail)
