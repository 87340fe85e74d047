"""What the logits of a network (K X Y Z) say, by the kind of its task."""

from collections.abc import Iterable, Mapping

import numpy as np
import scipy
from numpy.typing import NDArray

from monai_kd.outputs import Task

Floats = NDArray[np.float32]
Masks = NDArray[np.bool_]
Labels = NDArray[np.uint8]
HALF = float(np.nextafter(np.float32(0.5), np.float32(0)))  # of a probability, itself included


def find_probabilities(task: Task, logits: Floats) -> Floats:
    """Return the probability of each output: of regions each by itself, of classes together."""
    if task.kind == "regions":
        return np.asarray(scipy.special.expit(logits))
    return np.asarray(scipy.special.softmax(logits, axis=0))


def find_masks(task: Task, maps: Iterable[Floats], *, above: float = 0.0) -> dict[str, Masks]:
    """Return where each output is found, the background apart.

    `maps` are logits or, with `above=HALF`, probabilities, one output after the other.
    """
    if task.kind == "regions":
        return {name: values > above for name, values in zip(task.outputs, maps, strict=True)}
    chosen = _choose_largest(maps)
    return {name: chosen == index for index, name in enumerate(task.outputs) if index}


def _choose_largest(maps: Iterable[Floats]) -> Labels:
    """The index of the first of the largest, with two maps in memory at a time."""
    remaining = iter(maps)
    best = next(remaining)
    chosen = np.zeros(best.shape, dtype=np.uint8)
    for index, values in enumerate(remaining, start=1):
        np.copyto(chosen, np.uint8(index), where=values > best)
        best = np.maximum(best, values)
    return chosen


def draw_label(task: Task, masks: Mapping[str, Masks]) -> Labels:
    """One label of outputs that may overlap: of nested ones, the inner wins.

    A value is drawn where the narrowest outputs that cover it are found; values that more outputs
    cover are drawn over others. The bundle's own RegionsToLabeld does the same.
    """
    (value, names), *inner = _list_values(task.outputs)
    label = _shared(masks, names).view(np.uint8) * np.uint8(value)
    for value, names in inner:
        np.copyto(label, np.uint8(value), where=_shared(masks, names))
    return label


def _list_values(outputs: Mapping[str, tuple[int, ...]]) -> list[tuple[int, tuple[str, ...]]]:
    """The label values, from the outermost to the innermost, with the outputs that draw them.

    >>> _list_values({"core": (1, 3), "whole": (1, 2, 3), "rim": (3,)})
    [(2, ('whole',)), (1, ('core',)), (3, ('rim',))]
    """
    covering: dict[tuple[str, ...], int] = {}
    for value in sorted({value for values in outputs.values() for value in values} - {0}):
        names = tuple(name for name, values in outputs.items() if value in values)
        covering.setdefault(names, value)  # values of the same outputs are drawn as one
    ordered = sorted(covering, key=len)
    return [(covering[names], _narrowest(outputs, names)) for names in ordered]


def _narrowest(outputs: Mapping[str, tuple[int, ...]], names: tuple[str, ...]) -> tuple[str, ...]:
    least = min(len(outputs[name]) for name in names)
    return tuple(name for name in names if len(outputs[name]) == least)


def _shared(masks: Mapping[str, Masks], names: tuple[str, ...]) -> Masks:
    first, *others = (masks[name] for name in names)
    for mask in others:
        first = first & mask
    return first
