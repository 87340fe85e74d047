"""What terms read from an output, with a clear complaint where it is not there."""

from difflib import get_close_matches

import torch
from torch import Tensor

from monai_kd.outputs import DistillationOutput, NetworkOutput


def read_teacher(output: DistillationOutput) -> NetworkOutput:
    """What the teacher says; stop where there is none."""
    if output.teacher is None:
        raise ValueError("this term needs a teacher: give the distiller one, or drop the term")
    return output.teacher


def widen(values: Tensor) -> Tensor:
    """In float32 or better: sums over half a million voxels are coarse in half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def read_feature(said: NetworkOutput, tap: str, *, of: str) -> Tensor:
    """The feature `tap` of what a network says; `of` is the network's name in a complaint."""
    if tap not in said.features:
        near = get_close_matches(tap, said.features, n=1, cutoff=0.0)
        raise ValueError(
            f"the {of} tells no feature {tap!r}"
            + (f", the nearest is {near[0]!r}" if near else ", it tells logits alone")
            + f": add it to {of}_taps; a view bank holds logits alone"
        )
    return widen(said.features[tap])


def is_labelled(label: Tensor) -> Tensor:
    """Which windows `(B,)` bear a label: an unlabelled one is -1 where its truth is unknown."""
    return label.flatten(1).amin(dim=1) >= 0


def select_windows(
    output: DistillationOutput, label: Tensor, *, keep: Tensor
) -> tuple[DistillationOutput, Tensor]:
    """The windows of the batch where `keep (B,)` is true."""
    if bool(keep.all()):
        return output, label
    student = _select(output.student, keep)
    teacher = None if output.teacher is None else _select(output.teacher, keep)
    return DistillationOutput(student, teacher), label[keep]


def _select(said: NetworkOutput, keep: Tensor) -> NetworkOutput:
    features = {name: feature[keep] for name, feature in said.features.items()}
    return NetworkOutput(said.logits[keep], features)
