"""Which of the known layouts a folder has, and which cases lie in it."""

from data_prep.layouts.dataset import find_dataset

__all__ = ["find_dataset"]
