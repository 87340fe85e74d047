"""The values of a student's masks, and which of them each of its outputs covers."""

from collections.abc import Mapping
from typing import NamedTuple

from monai_kd.outputs import Task


class MaskLabels(NamedTuple):
    """Names of the values, 0 apart, and the values of each output."""

    names: Mapping[int, str]
    outputs: Mapping[str, tuple[int, ...]]


def number_labels(task: Task, labels: Mapping[int, str]) -> MaskLabels:
    """Classes keep the values that the data set's `labels` name; regions are numbered anew.

    Where regions overlap, values that the same of them cover look alike to the network: such a set
    is one value of the mask, counted from 1 in the order of the data set's values.

    >>> outputs = {"core": (1, 4), "whole": (1, 2, 4)}
    >>> number_labels(Task("regions", 3, (), outputs), {1: "dead", 2: "swollen", 4: "live"})
    MaskLabels(names={1: 'dead/live', 2: 'swollen'}, outputs={'core': (1,), 'whole': (1, 2)})
    """
    if task.kind == "classes":
        values = {value for members in task.outputs.values() for value in members} - {0}
        own = {name: members[:1] for name, members in task.outputs.items()}
        return MaskLabels({v: n for v, n in sorted(labels.items()) if v in values}, own)
    alike: dict[tuple[str, ...], list[int]] = {}
    for value in sorted({value for members in task.outputs.values() for value in members}):
        covering = tuple(name for name, members in task.outputs.items() if value in members)
        alike.setdefault(covering, []).append(value)
    names = {
        number: "/".join(dict.fromkeys(labels[value] for value in values))
        for number, values in enumerate(alike.values(), start=1)
    }
    outputs = {
        name: tuple(number for number, covering in enumerate(alike, start=1) if name in covering)
        for name in task.outputs
    }
    return MaskLabels(names, outputs)
