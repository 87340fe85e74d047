"""Writing files so that a name stands for a whole file or for none, for rooms above data_prep."""

from data_prep.files import replace_file

__all__ = ["replace_file"]
