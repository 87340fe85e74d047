"""Turns what a person downloads into what training reads: checked, voxelised, listed. Once.

Each name is imported when it is asked for: to check or to segment a scan needs no voxel store.
"""

from importlib import import_module
from types import MappingProxyType
from typing import Any

_HOMES = MappingProxyType(
    {
        "DatasetError": "errors",
        "Split": "datalist",
        "find_task": "locating",
        "prepare_voxels": "locating",
        "voxelise_cases": "locating",
        "write_datalist": "datalist",
        "write_phantoms": "phantom",
    }
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
