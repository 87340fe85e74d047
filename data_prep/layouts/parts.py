"""What the names of files say, in the same terms for every layout, and the cases they make."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from data_prep.case import UNKNOWN, Case, Dataset, ImageFile
from data_prep.files import walk_files
from data_prep.findings import Finding, spoilt_cases
from data_prep.rules import Rule
from data_prep.scans.reading import ENDINGS
from data_prep.schemes import LabelScheme

LABEL = "label"
_ANY = "|".join(map(re.escape, (*ENDINGS, ".img", ".img.gz")))  # the other half of a pair, too
_ENDING = re.compile(f"({_ANY})$", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """Which case a file belongs to; `place` tells apart cases of equal names."""

    name: str
    place: str
    patient: str
    grade: str = UNKNOWN


@dataclass(frozen=True)
class Part:
    """A file, or a channel of it, as the label or a modality of a case."""

    identity: Identity
    role: str
    image: ImageFile


@dataclass(frozen=True)
class Reading:
    """A folder as one layout reads it.

    `patterns` are the names of files by role, with `*` for the case; `declared` adds what a
    dataset.json says of a role.
    """

    layout: str
    modalities: tuple[str, ...]
    patterns: Mapping[str, str]
    scheme: LabelScheme | None
    parts: tuple[Part, ...]
    strays: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    declared: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def list_volumes(root: Path) -> list[Path]:
    """List the scans below `root`, relative to it, in order; hidden ones are left out."""
    found = (file for file in walk_files(root) if file.name.lower().endswith(ENDINGS))
    return sorted(path.relative_to(root) for path in found)


def stem_of(volume: Path) -> str:
    """The name without the ending of its format, as .nii.gz."""
    return _ENDING.sub("", volume.name)


def ending_of(volumes: Sequence[Path]) -> str:
    """The ending of most of the files."""
    found = [match[0].lower() for volume in volumes if (match := _ENDING.search(volume.name))]
    return max(ENDINGS, key=found.count)


def make_dataset(root: Path, reading: Reading, *, partial: bool = False) -> Dataset:
    """Bring the parts of each case together; a case that is not whole is found, not among them.

    With `partial`, one that lacks some of its modalities is both.
    """
    groups: dict[Identity, list[Part]] = {}
    for part in reading.parts:
        groups.setdefault(part.identity, []).append(part)
    judged = [finding for group in groups.values() for finding in _judge(group, root, reading)]
    strays = [
        Finding(Rule.STRAY_FILE, "", stray.as_posix(), f"fits no case of {reading.layout}")
        for stray in reading.strays
    ]
    findings = (*reading.findings, *judged, *_collisions(groups), *_odd_names(groups), *strays)
    forgiven = {Rule.MISSING_MODALITY} if partial else set()
    spoilt = spoilt_cases(finding for finding in findings if finding.rule not in forgiven)
    whole = [group for identity, group in groups.items() if identity.name not in spoilt]
    cases = [_make_case(group, reading) for group in whole if _has_images(group)]
    return Dataset(
        root=root,
        layout=reading.layout,
        modalities=reading.modalities,
        mapping=_describe(reading),
        scheme=reading.scheme,
        cases=tuple(sorted(cases, key=lambda case: case.name)),
        findings=findings,
    )


def _describe(reading: Reading) -> dict[str, str]:
    """Say what was taken for what, for a person to check."""
    images = {
        modality: " ".join(
            filter(None, (reading.patterns[modality], reading.declared.get(modality)))
        )
        for modality in reading.modalities
    }
    meaning = reading.scheme or "meaning not declared"
    return images | {"labels": f"{reading.patterns[LABEL]}, {meaning}"}


def _make_case(group: Sequence[Part], reading: Reading) -> Case:
    identity, files = group[0].identity, {part.role: part.image for part in group}
    images = {modality: files[modality] for modality in reading.modalities if modality in files}
    label = files[LABEL].path if LABEL in files else None
    return Case(identity.name, identity.patient, identity.grade, images, label)


def _judge(group: Sequence[Part], root: Path, reading: Reading) -> Iterator[Finding]:
    """What is wrong with one case."""
    name, place = group[0].identity.name, group[0].identity.place
    yield from _doubles(group, root)
    if not _has_images(group):
        file = group[0].image.path.relative_to(root).as_posix()
        yield Finding(Rule.LABEL_ALONE, name, file, "no image of this case")
        return
    given = {part.role for part in group}
    for role in (*reading.modalities, LABEL):
        if role not in given:
            rule = Rule.NO_LABEL if role == LABEL else Rule.MISSING_MODALITY
            wanted = reading.patterns[role].replace("*", name)
            hint = _similar_stray(Path(place, wanted), reading.strays)
            yield Finding(rule, name, place, f"lacks the {role} {wanted}{hint}")


def _doubles(group: Sequence[Part], root: Path) -> Iterator[Finding]:
    files: dict[str, list[str]] = {}
    for part in group:
        files.setdefault(part.role, []).append(part.image.path.relative_to(root).as_posix())
    roles: dict[tuple[str, ...], list[str]] = {}
    for role, paths in files.items():
        roles.setdefault(tuple(paths), []).append(role)
    for (first, *others), doubled in roles.items():
        if others:
            detail = f"{', '.join(doubled)} also in {', '.join(others)}"
            yield Finding(Rule.GIVEN_TWICE, group[0].identity.name, first, detail)


def _collisions(groups: Mapping[Identity, Sequence[Part]]) -> Iterator[Finding]:
    alike: dict[str, list[Identity]] = {}  # Windows and macOS take a and A for one
    for identity, group in groups.items():
        if _has_images(group):
            alike.setdefault(identity.name.casefold(), []).append(identity)
    for named in alike.values():
        for one in named if len(named) > 1 else []:
            others = ", ".join(other.place for other in named if other is not one)
            yield Finding(Rule.CASE_TWICE, one.name, one.place, f"the same name is in {others}")


def _odd_names(groups: Mapping[Identity, Sequence[Part]]) -> Iterator[Finding]:
    """Names that no file of ours could tell: control characters, or bytes that are no text."""
    for identity in groups:
        if not identity.name.isprintable():
            yield Finding(Rule.ODD_NAME, identity.name, identity.place, "not all of it is text")


def _has_images(group: Sequence[Part]) -> bool:
    return any(part.role != LABEL for part in group)


def _similar_stray(wanted: Path, strays: Sequence[Path]) -> str:
    """A file beside it that may be meant: the only one, or one of a similar name."""
    beside = [stray.name for stray in strays if stray.parent == wanted.parent]
    nearest = get_close_matches(wanted.name, beside, n=1, cutoff=0.6 if len(beside) > 1 else 0)
    return f"; is it {nearest[0]}?" if nearest else ""
