"""What label values mean: their names, and the regions that are unions of them."""

from collections.abc import Mapping
from dataclasses import dataclass

IGNORED = "ignore"  # nnU-Net's name for voxels that nobody has labelled


@dataclass(frozen=True)
class LabelScheme:
    """Names of label values, 0 apart, and the regions that are unions of them."""

    name: str
    labels: Mapping[int, str]
    regions: Mapping[str, tuple[int, ...]]

    def __str__(self) -> str:
        values = ", ".join(f"{value} {label}" for value, label in sorted(self.labels.items()))
        return f"{self.name} ({values})"


def declare_classes(classes: Mapping[int, str]) -> LabelScheme:
    """Make each class, 0 apart, a region of its own; values of one name are one.

    >>> declare_classes({1: "Anterior", 2: "Posterior", 3: "ignore"}).regions
    {'Anterior': (1,), 'Posterior': (2,)}
    """
    named = [name for name in classes.values() if name.lower() != IGNORED]
    regions = {name: tuple(v for v in classes if classes[v] == name) for name in named}
    return LabelScheme("declared", dict(classes), regions)


def declare_regions(regions: Mapping[str, tuple[int, ...]]) -> LabelScheme:
    """Take regions as declared; a value is called after the regions that it belongs to."""
    values = sorted({value for members in regions.values() for value in members})
    labels = {v: "/".join(name for name in regions if v in regions[name]) for v in values}
    return LabelScheme("declared", labels, {n: v for n, v in regions.items() if n != IGNORED})
