"""Large arrays, walked in the order in which they lie in memory."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def in_memory_order(reference: Array, *others: Array) -> tuple[Array, ...]:
    """Return views of arrays of one shape, axes permuted and flipped alike, the first contiguous.

    A scan turned to RAS is a view with negative strides, last axis outermost; a mask over it takes
    several times as long as over the same voxels in their order. For what asks not where they are.
    """
    order, signs = memory_order(reference)
    flips = tuple(slice(None, None, sign) for sign in signs)
    return tuple(array[flips].transpose(order) for array in (reference, *others))


def memory_order(array: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes from the outermost inwards, and for each axis 1 or, if it runs down, -1.

    >>> memory_order(np.zeros((2, 3, 4)).transpose(2, 0, 1)[::-1])
    ((1, 2, 0), (-1, 1, 1))
    """
    order = np.argsort(np.abs(array.strides))[::-1]
    return tuple(order.tolist()), tuple(-1 if stride < 0 else 1 for stride in array.strides)
