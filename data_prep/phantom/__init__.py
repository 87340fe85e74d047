"""Brains that never lived, in the layout, affine and labels of BraTS 2019."""

from data_prep.phantom.writer import write_phantoms

__all__ = ["write_phantoms"]
