"""One pass through both networks and every term, before hours are spent on a teacher."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch

from monai_kd.distillation import DistillationLoss, Distiller
from monai_kd.experiment.configuration import find_running_workflow
from monai_kd.experiment.errors import ExperimentError
from monai_kd.outputs import Task


def check_distillation(shape: Sequence[int], *, task: Task) -> None:
    """Stop where the workflow's `distiller` and `loss` cannot be made or do not fit each other.

    Both networks and every term, those of weight zero too, see one batch of empty windows, `shape`
    that of an image `(B, C, D, H, W)`: a tap that is not there or never fires, a projector of other
    channels, logits of other outputs than the task's show themselves here, in one line. Nothing
    that is trained or saved is touched.
    """
    loss: DistillationLoss = build_component("loss")
    distiller: Distiller = build_component("distiller")
    device = next(distiller.student.parameters()).device
    image = torch.zeros(2, *shape[1:], device=device)
    label = torch.zeros(_shape_of_labels(task, shape), device=device)
    with torch.no_grad(), _explained("the networks"):
        output = Distiller(deepcopy(distiller.student), teacher=distiller.teacher)(image)
    if (channels := output.student.logits.shape[1]) != len(task.outputs):
        raise ExperimentError(
            f"the student gives {channels} channels, expected one for each of "
            f"{list(task.outputs)}: set its out_channels to {len(task.outputs)}"
        )
    for name, term in deepcopy(loss.terms).items():
        with torch.no_grad(), _explained(f"term '{name}'"):
            term(output, label)


def _shape_of_labels(task: Task, shape: Sequence[int]) -> tuple[int, ...]:
    """Regions have a channel each, numbers of classes share one, an image has one number."""
    if task.kind == "classification":
        return (2,)
    return (2, len(task.outputs) if task.kind == "regions" else 1, *shape[2:])


def build_component(key: str) -> Any:
    """A component of the running workflow, the same that every reference to it means.

    What its constructor refuses came from the configuration, and is reported in one line.
    """
    with _explained(f"'{key}'"):
        return find_running_workflow().parser.get_parsed_content(key)


@contextmanager
def _explained(whose: str) -> Iterator[None]:
    """Say what is wrong in a sentence; MONAI wraps an error in one of its own at every level."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError) as error:
        cause: Any = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ExperimentError):
            raise cause from error
        raise ExperimentError(f"{whose}: {' '.join(str(cause).split())}") from error
