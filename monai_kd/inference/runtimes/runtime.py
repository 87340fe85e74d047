"""What every runtime offers, and its want of memory in one error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monai_kd.inference.budget import is_want_of_memory

Array = NDArray[np.float32]


class Runtime(Protocol):
    """A student that is ready to run, made from the student and a number of threads.

    `bytes_per_voxel` was measured: how much the peak memory of the process grows by each voxel
    of the image, of four channels and three outputs. `note` says what a person should know of the
    choice of the device; mostly it is empty.
    """

    name: str
    device: str
    threads: int
    bytes_per_voxel: int
    note: str

    def run(self, image: Array) -> Array:
        """Return logits (K D H W) of an image (C D H W); the next call may overwrite them.

        Raise a MemoryError where the image is too large.
        """

    def release(self) -> None:
        """Give back the memory that is kept for the next image."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise a MemoryError where a runtime says the same in an error of its own."""
    try:
        yield
    except Exception as error:
        if not is_want_of_memory(error):
            raise
        raise MemoryError(shorten(error)) from error


def shorten(error: BaseException, most: int = 120) -> str:
    """What an error says, in one line of `most` letters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]}..."
