"""The sequences of a brain-tumour study: how each is called, and how alike they look."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

SEQUENCES = ("t1ce", "t1", "t2", "flair")
SPACING_MM = (1.0, 1.0, 1.0)  # of BraTS and of our phantoms
NAMES_2017: Mapping[str, str] = MappingProxyType({name: name for name in SEQUENCES})
NAMES_2023: Mapping[str, str] = MappingProxyType(
    {"t1ce": "t1c", "t1": "t1n", "t2": "t2w", "flair": "t2f"}
)
NAMES_BIDS: Mapping[str, str] = MappingProxyType(
    {"t1ce": "ce-<agent>_T1w", "t1": "T1w", "t2": "T2w", "flair": "FLAIR"}
)
NAMES_DECATHLON: Mapping[str, str] = MappingProxyType(  # in the order of its channels
    {"flair": "FLAIR", "t1": "T1w", "t1ce": "t1gd", "t2": "T2w"}
)
_WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "flair": frozenset(("flair", "t2f", "t2flair")),
        "t1ce": frozenset(("t1ce", "t1c", "t1gd", "t1gad", "t1post", "t1wce", "t1km")),
        "t1": frozenset(("t1", "t1w", "t1n", "t1pre", "mprage")),
        "t2": frozenset(("t2", "t2w")),
    }
)
_CONTRAST = frozenset(
    ("c", "ce", "gd", "gad", "gadolinium", "km", "post", "postcontrast", "contrast")
)
# What scanners call their series, in lower case with single blanks.
_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "t1": r"\bt1|\bmp ?rage|\bbravo\b|\bf?spgr\b|\btfl3d",
        "t2": r"\bt2(?!f)",
        "flair": r"flair|\btirm\b|dark ?fluid|\bda ?fl\b|\bt2f\b",
    }
)
_NOT_OF_CONTRAST = r"\b(pre|post) ?(op\w*|surg\w*|rt|rx|chemo\w*|radi\w*|treat\w*)\b"
_WITHOUT = (
    r"\b(pre|w ?o|without|non?|sans|ohne|nativ\w*|unenhanced|plain)\b"
    r"( ?(contrast\w*|gd|gad\w*|km|ce?|cm)\b)?|\bnon? ?contrast\b|\bt1w?n\b"
)
_WITH = (
    r"\+ ?(c|gd|gad\w*|km)\b|\bc ?\+|\bt1 ?w?(c|ce|gd|gad\w*|post|km)\b|"
    r"\b(ce|gd|gad\w*|post\w*|contrast\w*|km|mdc|cm|enhanced|dotarem|prohance)\b"
)
_BOTH = r"\bw( and)? w ?o\b"

# How much each pair is alike over the inside of the brain: see `data_prep.checks.contrast`.
LIKENESS = (("t1ce", "t1", 1.0), ("t1ce", "t2", -1.0), ("t1", "t2", -1.0), ("t2", "flair", 1.0))
LIKENESS_OF_THREE = (("t1ce", "t2", -1.0), ("t1", "t2", -1.0), ("t2", "flair", -1.0))
ENHANCED, PLAIN = "t1ce", "t1"
CLEAREST_EDGES = ("t1", "t1ce", "t2", "flair")  # t1 shares its edges with all others


def is_brain_study(channels: Collection[str]) -> bool:
    """Tell whether channels are a tumour's sequences, and so images of a brain without its skull.

    >>> is_brain_study(["t1", "flair"]), is_brain_study(["t1", "CT"]), is_brain_study([])
    (True, False, False)
    """
    return bool(channels) and set(channels) <= set(SEQUENCES)


def in_our_order(names: Iterable[str]) -> tuple[str, ...]:
    """Ours come first, as `SEQUENCES` has them; others stay in the order in which they come."""
    return tuple(sorted(names, key=_rank))


def canonical_names(declared: Sequence[str]) -> tuple[str, ...]:
    """Use our names for sequences, where all are known; else their own.

    >>> canonical_names(["FLAIR", "T1w", "T1-Gd"]), canonical_names(["T1", "CT"])
    (('flair', 't1', 't1ce'), ('T1', 'CT'))
    """
    words = [re.sub(r"[\W_]+", "", name.lower()) for name in declared]
    known = {word: name for name, own in _WORDS.items() for word in own}
    ours = tuple(known[word] for word in words if word in known)
    return ours if len(set(ours)) == len(declared) else tuple(declared)


def sequence_called(words: Collection[str]) -> str | None:
    """Tell the sequence from the words of a file's name; None where they name none, or two."""
    found = {name for name, known in _WORDS.items() if known & set(words)}
    if found == {"t1"} and _CONTRAST & set(words):
        return "t1ce"
    if "flair" in found:
        found -= {"t2"}  # as in t2_flair
    if "t1ce" in found:
        found -= {"t1"}
    return found.pop() if len(found) == 1 else None


def kind_of_series(name: str) -> str:
    """Tell t1, t2 or flair from the name of a scanner's series; nothing where it names several."""
    kinds = [kind for kind, pattern in _KINDS.items() if re.search(pattern, name)]
    if kinds == ["t1", "flair"]:  # a T1 that nulls fluid
        return "t1"
    if kinds == ["t2", "flair"]:
        return "flair"
    return kinds[0] if len(kinds) == 1 else ""


def contrast_of_series(names: str) -> tuple[bool, bool]:
    """Tell whether names of a series speak of no contrast agent, and whether they speak of one."""
    said = re.sub(_NOT_OF_CONTRAST, " ", names)
    rest = re.sub(_WITHOUT, " ", said)
    with_agent = re.search(_WITH, rest) is not None or re.search(_BOTH, said) is not None
    return rest != said, with_agent


def _rank(name: str) -> int:
    return SEQUENCES.index(name) if name in SEQUENCES else len(SEQUENCES)
