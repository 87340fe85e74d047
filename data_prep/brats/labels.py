"""What label values of a tumour mean: its parts and regions, in the conventions by year."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from data_prep.errors import DatasetError
from data_prep.schemes import IGNORED, LabelScheme, declare_classes, declare_regions

MASKS = ("brats2023", "brats2021", "msd")  # in which a mask of a tumour can be written
# What a part of a tumour is called in the datasets' own lists; the first that fits is meant, for
# a name may hold another's: oedema is also "surrounding non-enhancing FLAIR hyperintensity".
_PARTS = (
    ("cavity", r"\brc\b|cavity"),
    ("oedema", r"\bed\b|edema|\bsnfh\b|\bflair\b"),
    ("core", r"\bncr\b|\bnetc?\b|\bcc\b|necro|non ?enhanc|cystic"),
    ("enhancing", r"\bet\b|enhanc"),
    (IGNORED, r"^ignore$"),
)
_REGIONS = (
    ("TC", r"\btc\b|tumou?r core"),
    ("WT", r"\bwt\b|whole tumou?r"),
    ("ET", r"\bet\b|(?<!non)(?<!non )enhanc"),
)
_REGION_PARTS = {
    "TC": {"core", "enhancing"},
    "WT": {"core", "enhancing", "oedema"},
    "ET": {"enhancing"},
}


def choose_scheme(name: str) -> LabelScheme:
    """Return the known scheme of that name."""
    if name in SCHEMES:
        return SCHEMES[name]
    nearest = get_close_matches(name.lower(), SCHEMES, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise DatasetError(f"no label scheme {name!r}, expected one of {', '.join(SCHEMES)}{hint}")


def choose_mask_scheme(own: LabelScheme, name: str | None) -> LabelScheme:
    """Return the scheme in which a mask of `own` labels is written: a tumour's parts by name."""
    parts = {part_of_tumour(label) for label in own.labels.values()}
    if parts == {"core", "oedema", "enhancing"}:
        return choose_scheme(name or MASKS[0])
    if name is not None:
        raise DatasetError(f"masks of this student have its own values {own}: leave out --labels")
    return own


def scheme_of_classes(labels: Mapping[int, str]) -> LabelScheme:
    """Tell the scheme from the names of exclusive classes, 0 being background.

    Names of tumour parts give the regions TC, WT and ET, and a known scheme where it has the same
    parts at the same values. Other classes are regions of their own.
    """
    classes = {value: labels[value] for value in sorted(labels) if value != 0}
    parts = {value: part_of_tumour(label) for value, label in classes.items()}
    if None in parts.values() or not _REGION_PARTS["WT"] <= set(parts.values()):
        return declare_classes(classes)
    for known in SCHEMES.values():
        if parts == {value: part_of_tumour(label) for value, label in known.labels.items()}:
            return known
    return _scheme("declared", classes)


def scheme_of_regions(regions: Mapping[str, tuple[int, ...]]) -> LabelScheme:
    """Take regions as declared; a value is called after the regions that it belongs to."""
    found = {_first_that_fits(name, _REGIONS) or name: values for name, values in regions.items()}
    if not (set(_REGION_PARTS) <= set(found) and len(found) == len(regions)):
        return declare_regions(regions)
    return declare_regions({name: found[name] for name in (*_REGION_PARTS, *found)})


def translate_labels(source: LabelScheme, target: LabelScheme) -> dict[int, int]:
    """Say which value of `target` stands for each value of `source`: the same part of a tumour."""
    if source == target:
        return {value: value for value in source.labels}
    values = {part_of_tumour(label): value for value, label in target.labels.items()}
    return {value: values[part_of_tumour(label)] for value, label in source.labels.items()}


def part_of_tumour(label: str) -> str | None:
    """Cavity, oedema, core or enhancing; None if the label names nothing of a tumour."""
    return _first_that_fits(label, _PARTS)


def _first_that_fits(name: str, patterns: tuple[tuple[str, str], ...]) -> str | None:
    words = re.sub(r"[\W_]+", " ", name.lower())
    return next((kind for kind, pattern in patterns if re.search(pattern, words)), None)


def _scheme(name: str, labels: Mapping[int, str]) -> LabelScheme:
    parts = {value: part_of_tumour(label) for value, label in labels.items()}
    regions = {
        region: tuple(sorted(value for value, part in parts.items() if part in members))
        for region, members in _REGION_PARTS.items()
    }
    return LabelScheme(name, dict(labels), regions)


BRATS2021 = _scheme("brats2021", {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"})
BRATS2023 = _scheme("brats2023", {1: "necrotic core", 2: "oedema", 3: "enhancing tumour"})
BRATS2024 = _scheme(
    "brats2024",
    {1: "non-enhancing tumour core", 2: "oedema", 3: "enhancing tumour", 4: "resection cavity"},
)
BRATS2024_PED = _scheme(
    "brats2024-ped",
    {1: "enhancing tumour", 2: "non-enhancing tumour", 3: "cystic component", 4: "oedema"},
)
MSD = _scheme("msd", {1: "oedema", 2: "non-enhancing tumour", 3: "enhancing tumour"})
SCHEMES: Mapping[str, LabelScheme] = MappingProxyType(
    {scheme.name: scheme for scheme in (BRATS2021, BRATS2023, BRATS2024, BRATS2024_PED, MSD)}
)
