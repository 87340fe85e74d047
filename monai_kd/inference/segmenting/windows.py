"""As few windows as the memory allows over an image, joined without seams."""

import logging
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import DatasetError
from monai_kd.inference.runtimes.runtime import Runtime

Array = NDArray[np.float32]
Shape = tuple[int, int, int]
LEAST_EDGE = 64  # of a window, or the image's own: a smaller one sees too little at once
OVERLAP = 0.25  # of a window's edge, at the least
SIGMA = 0.125  # of a window's edge: the weight of a voxel falls with its distance to the centre
LEAST_WEIGHT = 1e-3  # so that no voxel's weights add up to nothing
IMAGE_BYTES = 36  # per voxel of an image that is larger than its windows, and of its logits
BASE_BYTES = (
    450 * 2**20
)  # of the interpreter with the runtime (torch needs most) and a case as read
TOO_LITTLE = f"not enough memory for the smallest window, of {LEAST_EDGE} voxels"
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Inference:
    """Logits (R X Y Z) of an image, the window in which they were found, and how many it took."""

    logits: Array
    window: Shape
    windows: int


def infer(
    runtime: Runtime, image: Array, *, divisor: int, most_bytes: int, fixed: Shape | None = None
) -> Inference:
    """Run the network on an image (C X Y Z) in windows that fit into `most_bytes` of memory.

    Where the memory does not suffice all the same, windows of half the size are tried, and so on.
    A network that is to keep to a `fixed` window takes it and no other.
    """
    shape = (image.shape[1], image.shape[2], image.shape[3])
    if fixed is not None:
        return Inference(_run_windows(runtime, image, fixed), fixed, count_windows(shape, fixed))
    most_voxels = count_voxels(runtime, shape, most_bytes)
    failed: Shape | None = None
    while True:
        window = choose_window(shape, divisor=divisor, most_voxels=most_voxels)
        if window == failed:
            raise DatasetError(TOO_LITTLE)
        try:
            logits = _run_windows(runtime, image, window)
        except MemoryError:
            most_voxels, failed = int(np.prod(window)) // 2, window
            _LOGGER.info("not enough memory for a window of %s: trying half of it", window)
        else:
            return Inference(logits, window, count_windows(shape, window))


def count_windows(shape: Shape, window: Shape) -> int:
    """Return how many windows cover the shape."""
    return prod(len(place_windows(s, edge)) for s, edge in zip(shape, window, strict=True))


def count_voxels(runtime: Runtime, shape: Shape, most_bytes: int) -> int:
    """Return how large a window may be: the whole image, or less, for then the image adds to it."""
    left = max(0, most_bytes - BASE_BYTES)
    if prod(shape) * runtime.bytes_per_voxel <= left:
        return prod(shape)
    beside = max(0, left - IMAGE_BYTES * prod(shape))
    return (
        max(beside, min(left, LEAST_EDGE**3 * runtime.bytes_per_voxel)) // runtime.bytes_per_voxel
    )


def choose_window(shape: Shape, *, divisor: int, most_voxels: int) -> Shape:
    """Return the whole shape if it has at most so many voxels, else the largest equal parts.

    The longest edge is cut first. Every edge is a multiple of `divisor`, as those of `shape` are.
    Raise a DatasetError where such parts would see too little at once.
    """
    window = _cut_to_size(shape, divisor, most_voxels)
    if any(edge < min(LEAST_EDGE, side) for edge, side in zip(window, shape, strict=True)):
        raise DatasetError(TOO_LITTLE)
    return window


def _cut_to_size(shape: Shape, divisor: int, most_voxels: int) -> Shape:
    parts = [1, 1, 1]
    while True:
        edges = [_edge(side, count, divisor) for side, count in zip(shape, parts, strict=True)]
        if np.prod(edges) <= most_voxels or max(edges) <= divisor:
            return edges[0], edges[1], edges[2]
        parts[int(np.argmax(edges))] += 1


def place_windows(side: int, edge: int) -> list[int]:
    """Return where windows of that edge start along a side, evenly and as few as overlap enough."""
    if edge >= side:
        return [0]
    count = int(np.ceil((side - edge) / (edge * (1 - OVERLAP)))) + 1
    return [round(start) for start in np.linspace(0, side - edge, count).tolist()]


def _edge(side: int, count: int, divisor: int) -> int:
    """The edge of `count` windows that overlap and together are as long as the side."""
    least = side / (1 + (count - 1) * (1 - OVERLAP))
    return min(side, max(1, int(np.ceil(least / divisor))) * divisor)


def _run_windows(runtime: Runtime, image: Array, window: Shape) -> Array:
    shape = image.shape[1:]
    if window == shape:
        return runtime.run(image)
    weight = _weigh(window)
    starts = [place_windows(side, edge) for side, edge in zip(shape, window, strict=True)]
    total = np.zeros(shape, dtype=np.float32)
    logits = np.zeros((0, *shape), dtype=np.float32)
    for corner in product(*starts):
        inside = tuple(
            slice(start, start + edge) for start, edge in zip(corner, window, strict=True)
        )
        found = runtime.run(np.ascontiguousarray(image[:, *inside]))
        if not len(logits):  # only now it is known how many regions there are
            logits = np.zeros((len(found), *shape), dtype=np.float32)
        logits[:, *inside] += found * weight
        total[inside] += weight
    logits /= total
    return logits


def _weigh(window: Shape) -> Array:
    """A Gaussian around the window's centre, largest 1."""
    axes = [np.arange(edge) - (edge - 1) / 2 for edge in window]
    bells = [np.exp(-0.5 * (axis / (SIGMA * len(axis))) ** 2) for axis in axes]
    weight = reduce(np.multiply.outer, bells)
    return np.asarray(np.maximum(weight / weight.max(), LEAST_WEIGHT), dtype=np.float32)
