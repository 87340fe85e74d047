"""A run's saved measurements, or a case's segmentation, as tables, figures and pages.

Files in, files out. Each name is imported when it is asked for: a case's page needs no matplotlib.
"""

from importlib import import_module
from types import MappingProxyType
from typing import Any

_HOMES = MappingProxyType(
    {
        "make_table": "table",
        "show_results": "summary",
        "write_case_page": "case_page",
        "write_figure": "figure",
        "write_report": "page",
    }
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
