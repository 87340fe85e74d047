"""What label values mean: the conventions of BraTS by year, and of the decathlon."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class LabelScheme:
    """Names of label values, 0 apart, and the regions that are unions of them."""

    name: str
    labels: Mapping[int, str]
    regions: Mapping[str, tuple[int, ...]]


def _brats(
    name: str, labels: Mapping[int, str], tc: tuple[int, ...], wt: tuple[int, ...], et: int
) -> LabelScheme:
    regions = {"TC": tc, "WT": wt, "ET": (et,)}
    return LabelScheme(name, MappingProxyType(dict(labels)), MappingProxyType(regions))


BRATS2021 = _brats(
    "brats2021",
    {1: "necrotic core", 2: "oedema", 4: "enhancing tumour"},
    tc=(1, 4),
    wt=(1, 2, 4),
    et=4,
)
BRATS2023 = _brats(
    "brats2023",
    {1: "necrotic core", 2: "oedema", 3: "enhancing tumour"},
    tc=(1, 3),
    wt=(1, 2, 3),
    et=3,
)
BRATS2024 = _brats(
    "brats2024",
    {1: "non-enhancing tumour core", 2: "oedema", 3: "enhancing tumour", 4: "resection cavity"},
    tc=(1, 3),
    wt=(1, 2, 3),
    et=3,
)
MSD = _brats(
    "msd",
    {1: "oedema", 2: "non-enhancing tumour", 3: "enhancing tumour"},
    tc=(2, 3),
    wt=(1, 2, 3),
    et=3,
)
SCHEMES: Mapping[str, LabelScheme] = MappingProxyType(
    {scheme.name: scheme for scheme in (BRATS2021, BRATS2023, BRATS2024, MSD)}
)
