"""Student and teacher on the same view."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from monai_kd.networks import to_network_output
from monai_kd.outputs import DistillationOutput, NetworkOutput


class Distiller(nn.Module):
    """Runs the student, and beside it the frozen teacher where there is one.

    Teacher and student are any modules that map an image `(B, C, D, H, W)` to logits, to logits
    of several levels, or to a `NetworkOutput` with features, as `TappedNetwork` does. The teacher
    stays in evaluation mode and gets no gradient, whatever mode the trainer sets. Without a
    teacher this is the twin's run: the same student, trained on its labels alone.

    Args:
        student: the network that learns.
        teacher: the network it learns from.
        wants_teacher: asked at every step whether the teacher is to be run, such as
            `DistillationLoss.wants_teacher`; by default it always is.
    """

    def __init__(
        self,
        student: nn.Module,
        *,
        teacher: nn.Module | None = None,
        wants_teacher: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__()
        _check_apart(student, teacher)
        self.student = student
        self.teacher = None if teacher is None else teacher.eval().requires_grad_(False)
        self.wants_teacher = wants_teacher

    def forward(self, image: Tensor, teacher_logits: Tensor | None = None) -> DistillationOutput:
        """What both networks say of the same image; a view bank knows the teacher's logits."""
        student = _ask(self.student, image)
        if not self.wants_teacher():
            return DistillationOutput(student)
        if teacher_logits is not None:
            return DistillationOutput(student, NetworkOutput(teacher_logits))
        if self.teacher is None:
            return DistillationOutput(student)
        _check_evaluating(self.teacher)
        with torch.no_grad():
            teacher = _ask(self.teacher, image)
        return DistillationOutput(student, teacher)

    def train(self, mode: bool = True) -> Self:
        """Set the student's mode; the teacher stays in evaluation mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self


def _ask(network: nn.Module, image: Tensor) -> NetworkOutput:
    """Run a network; logits in the layout of labels, as terms compare both voxel by voxel."""
    output = to_network_output(network(image), image)
    return output._replace(logits=output.logits.contiguous())


def _check_apart(student: nn.Module, teacher: nn.Module | None) -> None:
    """A teacher is frozen, and would freeze what it shares with the student."""
    own = set(student.parameters())
    shared = [name for name, weight in (teacher or nn.Module()).named_parameters() if weight in own]
    if shared:
        raise ValueError(
            f"student and teacher share {len(shared)} parameters, {shared[0]!r} first: give the "
            "distiller a teacher of its own, a deep copy perhaps"
        )


def _check_evaluating(teacher: nn.Module) -> None:
    """Dropout and batch statistics would make the teacher another network at every step."""
    for name, module in teacher.named_modules():
        if module.training:
            raise RuntimeError(
                f"the teacher's {name or 'root'!r} is in training mode, so it answers otherwise "
                "than it was validated: call teacher.eval(), and train() on the distiller alone"
            )
