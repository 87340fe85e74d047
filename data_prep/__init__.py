"""Turns downloads into a datalist, once, and makes phantoms where there is no download."""

from data_prep.datalist import write_datalist
from data_prep.errors import DatasetError
from data_prep.locating import find_or_make_cases
from data_prep.phantom import write_phantoms

__all__ = ["DatasetError", "find_or_make_cases", "write_datalist", "write_phantoms"]
