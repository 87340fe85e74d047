"""What terms read from an output, with a clear complaint where it is not there."""

from difflib import get_close_matches

import torch
from einops import rearrange
from monai.networks.utils import one_hot
from torch import Tensor

from monai_kd.errors import UserError
from monai_kd.outputs import DistillationOutput, NetworkOutput


def read_teacher(output: DistillationOutput) -> NetworkOutput:
    """What the teacher says, a constant; stop where there is none."""
    if output.teacher is None:
        raise ValueError("this term needs a teacher: give the distiller one, or drop the term")
    features = {name: feature.detach() for name, feature in output.teacher.features.items()}
    return NetworkOutput(output.teacher.logits.detach(), features)


def read_logits(output: DistillationOutput) -> tuple[Tensor, Tensor]:
    """The logits of teacher and student, in this order, to be compared element by element."""
    teacher, student = widen(read_teacher(output).logits), widen(output.student.logits)
    if teacher.shape != student.shape:
        raise ValueError(
            f"the teacher's logits are {tuple(teacher.shape)}, the student's "
            f"{tuple(student.shape)}, expected the same: give both the same regions or classes, "
            "in the same order, and the same grid"
        )
    return teacher, student


def read_zero(output: DistillationOutput) -> Tensor:
    """A loss of zero that the student's logits have a part in, where there is nothing to compare.

    Zero times the sum would be NaN where the sum overflows, as it does in half precision.
    """
    return (0 * widen(output.student.logits)).sum()


def read_classes(label: Tensor, logits: Tensor) -> Tensor:
    """The class of every voxel, or of every image, as `cross_entropy` wants it: long, no channel.

    `label` is `(B, 1, ...)`, for classification `(B,)` or `(B, 1)`, of indices of any type.
    """
    batch, channels, *space = logits.shape
    if tuple(label.shape) not in {(batch, 1, *space), (batch, *space)}:
        raise UserError(
            f"the label is {tuple(label.shape)} and the logits are {tuple(logits.shape)}, expected "
            f"class indices {(batch, 1, *space)}: exclusive classes take indices, not one channel "
            "for each; where regions overlap, leave exclusive off"
        )
    classes = label.reshape(batch, *space).long()
    if classes.numel() > 0 and int(classes.max()) >= channels:
        raise UserError(
            f"the label holds class {int(classes.max())}, the network has {channels} classes, "
            f"0 to {channels - 1}: give it more out_channels, or map the label to fewer classes"
        )
    return classes


def widen(values: Tensor) -> Tensor:
    """In float32 or better: sums over half a million voxels are coarse in half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def read_feature(said: NetworkOutput, tap: str, *, of: str) -> Tensor:
    """The feature `tap` of what a network says; `of` is the network's name in a complaint."""
    if tap not in said.features:
        near = get_close_matches(tap, said.features, n=1, cutoff=0.0)
        raise ValueError(
            f"the {of} gives no feature {tap!r}"
            + (f", the nearest is {near[0]!r}" if near else ", it gives logits alone")
            + ": tap it; a view bank holds logits alone"
        )
    return widen(said.features[tap])


def read_truth(label: Tensor, logits: Tensor, *, exclusive: bool = False) -> tuple[Tensor, Tensor]:
    """Masks of regions or classes, empty in unlabelled windows, and which are labelled.

    `label` is `(B, R, ...)` of 0 and 1, of exclusive classes `(B, 1, ...)` of indices; -1 where
    unknown. The second is `(B, 1, ...)`.
    """
    labelled = rearrange(is_labelled(label), "b -> b" + " 1" * (logits.ndim - 1))
    if exclusive:
        classes = read_classes(label.clamp(min=0), logits).unsqueeze(1)
        return one_hot(classes, logits.shape[1], dtype=torch.bool) & labelled, labelled
    if label.shape != logits.shape:
        raise ValueError(
            f"the label is {tuple(label.shape)} and the logits are {tuple(logits.shape)}, expected "
            "the same: one channel of 0 and 1 for each region that the networks give; where "
            "classes exclude one another, set exclusive"
        )
    return (label > 0.5) & labelled, labelled


def is_labelled(label: Tensor) -> Tensor:
    """Which windows `(B,)` bear a label: one that is -1 anywhere is unlabelled as a whole.

    Data are unlabelled by whole windows, and where augmentation pads one it writes 0 beside -1.
    A label of NaN counts as one, so that it is noticed.
    """
    return ~(label.unsqueeze(-1).flatten(1).amin(dim=1) < 0)


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
