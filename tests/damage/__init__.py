"""Ways to spoil a case, each a fault that real datasets have had, and oddities that are none.

All are for folders in the layout of BraTS 2019, as `write_phantoms` makes them by default.
"""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from data_prep.errors import DatasetError
from tests.damage import files, folders, geometry, oddities, voxels
from tests.damage.corruption import CaseFiles, Corruption

__all__ = ["CORRUPTIONS", "ODDITIES", "Corruption", "corrupt"]

CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {way.name: way for way in (*files.WAYS, *geometry.WAYS, *voxels.WAYS, *folders.WAYS)}
)
ODDITIES: Mapping[str, Corruption] = MappingProxyType({way.name: way for way in oddities.WAYS})


def corrupt(root: str | os.PathLike[str], case: str, way: str) -> None:
    """Spoil the case of that name below `root`, in one of the `CORRUPTIONS` or `ODDITIES`."""
    known = {**CORRUPTIONS, **ODDITIES}
    if way not in known:
        nearest = get_close_matches(way, known, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
        raise DatasetError(f"no corruption {way!r}; {hint}")
    found = sorted(Path(root).glob(f"*/{case}"))
    if not found:
        raise DatasetError(f"no case {case} in HGG or LGG below {root}")
    known[way].apply(CaseFiles(found[0]))
