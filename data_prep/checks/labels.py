"""Whether a label holds what its scheme declares."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.brats.labels import SCHEMES
from data_prep.checks.geometry import Fault
from data_prep.rules import Rule
from data_prep.schemes import LabelScheme

MOST_VALUES = 256  # TotalSegmentator has 117 classes


def count_values(values: npt.NDArray[Any]) -> dict[float, int]:
    """How many voxels have each value other than 0."""
    flat = values.ravel(order="K")  # the order of the memory, in which masks are quick
    found, counts = np.unique(flat[flat != 0], return_counts=True)
    return {float(value): int(count) for value, count in zip(found, counts, strict=True)}


def label_faults(
    counts: dict[float, int], *, scheme: LabelScheme | None, dtype: np.dtype[Any]
) -> Iterator[Fault]:
    """Tell what is wrong with a label whose values other than 0 occur as often as `counts` says."""
    fractional = {value: n for value, n in counts.items() if not value.is_integer()}
    negative = {value: n for value, n in counts.items() if value < 0}
    if not counts:
        yield Rule.EMPTY_LABEL, "all voxels are 0"
    elif fractional:
        yield Rule.FRACTIONAL, _write_counts(fractional)
    elif len(counts) > MOST_VALUES:
        yield Rule.NOT_A_LABEL, f"{len(counts)} distinct values"
    elif negative:
        yield Rule.NEGATIVE_LABEL, _write_counts(negative)
    elif scheme is not None:
        yield from _stray_faults(counts, scheme)
    if counts and not fractional and np.issubdtype(dtype, np.floating):
        yield Rule.FLOAT_LABEL, f"stored as {dtype.name}"


def _stray_faults(counts: dict[float, int], scheme: LabelScheme) -> Iterator[Fault]:
    stray = {value: n for value, n in counts.items() if value not in scheme.labels}
    if not stray:
        return
    declared = ", ".join(map(str, (0, *scheme.labels)))
    seen = f"{_write_counts(stray)}; {scheme.name} declares {declared}"
    fitting = [s.name for s in SCHEMES.values() if counts.keys() <= s.labels.keys()]
    if scheme.name in SCHEMES and fitting:
        yield Rule.OTHER_SCHEME, f"{seen}; it would fit {' or '.join(fitting)}"
    else:
        yield Rule.STRAY_VALUE, seen


def _write_counts(counts: dict[float, int], limit: int = 3) -> str:
    listed = [f"value {value:g} in {n} voxels" for value, n in list(counts.items())[:limit]]
    more = [f"{len(counts) - limit} values more"] if len(counts) > limit else []
    return ", ".join(listed + more)
