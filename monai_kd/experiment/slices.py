"""Axial pictures of cases and of what networks make of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LABEL_OF_REGION = (("WT", 2), ("TC", 1), ("ET", 4))
"""Labels of BraTS 2019 in the order of painting: what each region leaves to those inside it."""


def draw_background(images: Sequence[Tensor], *, labels: Sequence[Tensor]) -> NDArray[np.float32]:
    """The first sequence of each image `(1, C, D, H, W)` at the slice shown, scaled to 0..1."""
    return _stack([_stretch(_axial(i[0, 0], label=t)) for i, t in zip(images, labels, strict=True)])


def draw_regions(
    masks: Sequence[Tensor], *, labels: Sequence[Tensor], regions: Sequence[str]
) -> NDArray[np.uint8]:
    """BraTS labels of regions `(R, D, H, W)`, logits or 0 and 1, at the slice shown."""
    drawn = []
    for mask, label in zip(masks, labels, strict=True):
        painted = torch.zeros_like(label[0], dtype=torch.uint8)
        for region, value in LABEL_OF_REGION:
            painted[mask[regions.index(region)] > 0] = value
        drawn.append(_axial(painted, label=label))
    return _stack(drawn)


def _axial(volume: Tensor, *, label: Tensor) -> NDArray[Any]:
    """The axial slice with most tumour, front of the head up, of a volume stored RAS."""
    at = int(label.amax(0).sum((0, 1)).argmax())
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
