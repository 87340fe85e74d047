"""What the laws of `test_laws.py` are asked of: a term with outputs and labels that suit it."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from monai_kd.outputs import DistillationOutput

WINDOWS, REGIONS = 2, 3
SPACE = {2: (4, 6), 3: (4, 6, 2)}  # no two axes alike, so that a swapped one shows


class Case(NamedTuple):
    """One term, or one setting of it."""

    name: str
    make_term: Callable[[], nn.Module]
    # (seed, dtype, dims) -> an output of at least 2 windows, anew at each call; all floating
    # tensors of the student are leaves that require grad, none of the teacher's do
    make_output: Callable[[int, torch.dtype, int], DistillationOutput]
    # (seed, dtype, dims) -> a label without -1 that suits the output
    make_label: Callable[[int, torch.dtype, int], Tensor]
    # zero when the student's logits and features are the teacher's: both tell the same taps
    equal: bool = False
    # permuting the spatial axes of all tensors changes nothing: false where a projector of more
    # than one voxel or tokens know about space
    permutable: bool = True
    needs_teacher: bool = True
    # what -1 as the label of a window does: "same" nothing; "skipped" the window does not count;
    # "teacher" the teacher's answer stands for the truth
    unlabelled: Literal["same", "skipped", "teacher"] = "same"
    # term of a temperature, for terms whose T^2 keeps the gradient's scale at small logits
    make_tempered: Callable[[float], nn.Module] | None = None


def make_random(
    seed: int, shape: tuple[int, ...], dtype: torch.dtype, *, scale: float = 2.0
) -> Tensor:
    """Normal numbers of this scale, the same ones at each call."""
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def make_region_label(seed: int, dtype: torch.dtype, dims: int) -> Tensor:
    """A label `(B, R, ...)` of 0 and 1."""
    shape = (WINDOWS, REGIONS, *SPACE[dims])
    return (make_random(seed, shape, torch.float64) > 1.5).to(dtype)


def make_class_label(seed: int, dtype: torch.dtype, dims: int) -> Tensor:
    """A label `(B, 1, ...)` of class indices below `REGIONS`."""
    generator = torch.Generator().manual_seed(seed)
    shape = (WINDOWS, 1, *SPACE[dims])
    return torch.randint(0, REGIONS, shape, generator=generator).to(dtype)
