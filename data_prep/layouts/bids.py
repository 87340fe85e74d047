"""BIDS: sub-<id>/[ses-<id>/]anat/, entities in the name, labels beside it or in derivatives/."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.brats.labels import scheme_of_classes
from data_prep.brats.sequences import ENHANCED, NAMES_BIDS, PLAIN, in_our_order
from data_prep.case import ImageFile
from data_prep.errors import DatasetError
from data_prep.layouts.parts import LABEL, Identity, Part, Reading, ending_of, stem_of
from data_prep.schemes import LabelScheme

_PATTERNS = {role: f"*_{name}" for role, name in NAMES_BIDS.items()} | {LABEL: "*_dseg"}
_SUFFIXES = {name.lower(): role for role, name in NAMES_BIDS.items()}
_SUFFIXES |= dict.fromkeys(("dseg", "seg", "mask"), LABEL)
_NOT_TUMOUR = {"brain", "aseg", "aparcaseg", "gm", "wm", "csf"}  # of the healthy anatomy


def read_bids(root: Path, volumes: Sequence[Path]) -> Reading | None:
    """Read the anatomical scans of each subject and session; None if there are none."""
    anatomical = [v for v in volumes if v.parent.name == "anat" and v.name.startswith("sub-")]
    found = {volume: _read_name(root, volume) for volume in anatomical}
    parts = tuple(part for part in found.values() if part is not None)
    modalities = in_our_order({part.role for part in parts} - {LABEL})
    if not modalities:
        return None
    ending = ending_of(anatomical)
    own = (volume for volume in anatomical if not _is_derived(volume))
    return Reading(
        layout="BIDS",
        modalities=modalities,
        patterns={role: pattern + ending for role, pattern in _PATTERNS.items()},
        scheme=_declared_scheme(root),
        parts=parts,
        strays=tuple(volume for volume in own if found[volume] is None),
    )


def _is_derived(volume: Path) -> bool:
    return "derivatives" in volume.parts


def _read_name(root: Path, volume: Path) -> Part | None:
    *pairs, suffix = stem_of(volume).split("_")
    entities = dict(pair.partition("-")[::2] for pair in pairs)
    role = _role(entities, suffix.lower())
    if role is None or (_is_derived(volume) and role != LABEL):
        return None
    subject = f"sub-{entities['sub']}"
    visit = [subject, f"ses-{entities['ses']}"] if "ses" in entities else [subject]
    identity = Identity("_".join(visit), "/".join([*visit, "anat"]), subject)
    return Part(identity, role, ImageFile(root / volume))


def _role(entities: Mapping[str, str], suffix: str) -> str | None:
    role = _SUFFIXES.get(suffix)
    if role == LABEL:
        described = {entities.get(key, "").lower() for key in ("desc", "label")}
        return None if described & _NOT_TUMOUR else LABEL
    return ENHANCED if role == PLAIN and "ce" in entities else role


def _declared_scheme(root: Path) -> LabelScheme | None:
    """Take the meaning of the labels from a dseg.tsv, if all there are say the same."""
    tables = [path for path in sorted(root.rglob("*dseg.tsv")) if _is_of_tumour(path)]
    found = [scheme_of_classes(_read_table(path)) for path in tables]
    return found[0] if found and all(scheme == found[0] for scheme in found) else None


def _is_of_tumour(table: Path) -> bool:
    healthy = any(f"desc-{name}_" in table.name for name in _NOT_TUMOUR)
    return not healthy and not table.name.startswith(".")


def _read_table(path: Path) -> dict[int, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            return {int(row["index"]): row["name"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DatasetError(
            f"{path} cannot be understood ({type(error).__name__}: {error}); "
            f"expected columns index and name, separated by tabs"
        ) from error
