"""Brains that never lived, in the layouts, affine and labels of BraTS and others."""

from data_prep.phantom.case import TASKS
from data_prep.phantom.layouts import LAYOUTS
from data_prep.phantom.writer import write_phantoms

__all__ = ["LAYOUTS", "TASKS", "write_phantoms"]
