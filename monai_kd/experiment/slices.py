"""Axial pictures of cases and of what networks make of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_kd.outputs import Task


def draw_background(images: Sequence[Tensor], *, labels: Sequence[Tensor]) -> NDArray[np.float32]:
    """The first channel of each image `(1, C, D, H, W)` at the slice shown, scaled to 0..1."""
    return _stack([_stretch(_axial(i[0, 0], label=t)) for i, t in zip(images, labels, strict=True)])


def draw_outputs(
    answers: Sequence[Tensor], *, labels: Sequence[Tensor], task: Task
) -> NDArray[np.uint8]:
    """What was found at the slice shown: 0, or the number of a scored output, from 1.

    An answer `(C, D, H, W)` is of logits or, as a label, of 0 and 1 or of numbers of classes. Of
    regions the narrower lie over the wider.
    """
    return _stack([_axial(_paint(a, task), label=t) for a, t in zip(answers, labels, strict=True)])


def _paint(answer: Tensor, task: Task) -> Tensor:
    if task.kind == "classes":  # the background is class 0
        return (answer[0] if len(answer) == 1 else answer.argmax(dim=0)).to(torch.uint8)
    painted = torch.zeros_like(answer[0], dtype=torch.uint8)
    sizes = [len(values) for values in task.outputs.values()]
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        painted[answer[number] > 0] = number + 1
    return painted


def _axial(volume: Tensor, *, label: Tensor) -> NDArray[Any]:
    """The axial slice with most foreground, front up, of a volume stored RAS."""
    at = int((label > 0).any(dim=0).sum((0, 1)).argmax())
    return np.rot90(volume[..., at].numpy())


def _stretch(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    inside = picture[picture != 0]
    low, high = np.percentile(inside, (1, 99.5)) if inside.size else (0, 1)
    scaled = np.clip((picture - low) / max(high - low, 1e-6), 0, 1)
    return np.where(picture == 0, 0, scaled).astype(np.float32)


def _stack(pictures: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Pictures of different sizes on one canvas each, centred."""
    height, width = np.max([picture.shape for picture in pictures], axis=0)
    canvas = np.zeros((len(pictures), height, width), dtype=pictures[0].dtype)
    for index, picture in enumerate(pictures):
        top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
        canvas[index, top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas
