"""Student and teacher on the same view."""

from typing import Self

import torch
from torch import Tensor, nn

from monai_kd.networks import to_network_output
from monai_kd.outputs import DistillationOutput


class Distiller(nn.Module):
    """Runs the student, and beside it the frozen teacher where there is one.

    Teacher and student are any modules that map an image `(B, C, D, H, W)` to logits, to logits
    of several levels, or to a `NetworkOutput` with features, as `TappedNetwork` does. The teacher
    stays in evaluation mode and gets no gradient, whatever mode the trainer sets. Without a
    teacher this is the twin's run: the same student, trained on its labels alone.
    """

    def __init__(self, student: nn.Module, *, teacher: nn.Module | None = None) -> None:
        super().__init__()
        self.student = student
        self.teacher = None if teacher is None else teacher.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> DistillationOutput:
        """What both networks say of the same image."""
        student = to_network_output(self.student(image), image)
        if self.teacher is None:
            return DistillationOutput(student)
        with torch.no_grad():
            teacher = to_network_output(self.teacher(image), image)
        return DistillationOutput(student, teacher)

    def train(self, mode: bool = True) -> Self:
        """Set the student's mode; the teacher stays in evaluation mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self
