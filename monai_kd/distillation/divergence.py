"""How far the student's probabilities are from the teacher's, for regions and for classes."""

import torch
from torch import Tensor
from torch.nn import functional


def diverge(teacher_logits: Tensor, student_logits: Tensor, *, exclusive: bool) -> Tensor:
    """Of each region `(B, R, ...)`, or where classes exclude one another of each voxel."""
    kind = softmax_divergence if exclusive else bernoulli_divergence
    return kind(teacher_logits, student_logits)


def read_probability(logits: Tensor, *, exclusive: bool) -> Tensor:
    """Softmax over channels where classes exclude one another, else sigmoid."""
    return functional.softmax(logits, dim=1) if exclusive else torch.sigmoid(logits)


def bernoulli_divergence(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """`KL(sigmoid(t) || sigmoid(s)) = softplus(s) - softplus(t) + sigmoid(t) (t - s)`."""
    probability = torch.sigmoid(teacher_logits)
    entropy = functional.softplus(teacher_logits) - probability * teacher_logits
    return functional.softplus(student_logits) - probability * student_logits - entropy


def softmax_divergence(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """`KL(softmax(teacher) || softmax(student))` over channels: `(B, C, ...)` to `(B, 1, ...)`."""
    if teacher_logits.shape[1] < 2:
        raise ValueError(
            "the logits have one channel, and a softmax over it is always 1: make background a "
            "class of its own, or take a term for regions, such as BalancedSoftLabelTerm"
        )
    teacher = functional.log_softmax(teacher_logits, dim=1)
    student = functional.log_softmax(student_logits, dim=1)
    divergence = functional.kl_div(student, teacher, reduction="none", log_target=True)
    return divergence.sum(dim=1, keepdim=True)
