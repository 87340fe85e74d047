"""What references in NumPy float64 are written with, and how terms are asked."""

import itertools

import numpy as np
import pytest
import torch

from monai_kd.distillation.terms.fusion_transfer_term import FusionTransferTerm
from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.cases import FINE, STAGES, make_fusion

LABEL = torch.zeros(2, 1, 4, 6)
FUSION = make_fusion(1, torch.float64, 2)
EPSILON = 1e-6


def fit(term, output):
    """The term in double precision, its projectors of these shapes."""
    term.fit(output)
    return term.double()


def make_fusion_term(**weights):
    torch.manual_seed(1)
    return fit(FusionTransferTerm(**STAGES, **weights), FUSION)


def evaluate(term, output, label=LABEL):
    torch.manual_seed(0)
    return term.double()(output, label).item()


def assert_agrees(term, expected, output, label=LABEL):
    assert evaluate(term, output, label) == pytest.approx(float(expected), rel=1e-6, abs=1e-9)


def numbers(output, tap=FINE):
    """The maps of both networks as arrays."""
    return tuple(said.features[tap].detach().numpy() for said in output)


def rows(volume):
    """Voxels of a map as rows, (B, N, C)."""
    return np.moveaxis(volume.reshape(*volume.shape[:2], -1), 1, 2)


def with_teacher(output, change, tap=FINE):
    """The output with the teacher's map changed."""
    features = {**output.teacher.features, tap: change(output.teacher.features[tap])}
    return DistillationOutput(output.student, NetworkOutput(output.teacher.logits, features))


def halve(values):
    """Means over cells of two voxels per axis."""
    batch, channels, *space = values.shape
    cells = [part for edge in space for part in (edge // 2, 2)]
    return values.reshape(batch, channels, *cells).mean(axis=tuple(range(3, 3 + 2 * len(space), 2)))


def normal(values, axis=-1, epsilon=EPSILON):
    centred = values - values.mean(axis, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis, keepdims=True) + epsilon)


def unit(values):
    return values / np.sqrt((values**2).sum(-1, keepdims=True) + EPSILON)


def bernoulli(p, q):
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


def divergence(p, q, axis=-1):
    return (p * np.log(p / q)).sum(axis)


def cosine_distance(first, second):
    """Half the squared distance of vectors of length one, which is 1 - cos."""
    return 0.5 * ((unit(first) - unit(second)) ** 2).sum(-1).mean()


def cosines(tokens):
    return unit(tokens) @ unit(tokens).swapaxes(1, 2)


def convolve(volume, layer):
    """What a 2D convolution of odd kernel makes of (B, C, H, W), offset by offset."""
    weight, bias = (x.detach().numpy() for x in (layer.weight, layer.bias))
    edge, (height, width) = weight.shape[-1] // 2, volume.shape[2:]
    padded = np.pad(volume, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    total = np.zeros((volume.shape[0], weight.shape[0], height, width)) + bias[:, None, None]
    for y, x in itertools.product(range(2 * edge + 1), repeat=2):
        window = padded[:, :, y : y + height, x : x + width]
        total += np.einsum("bchw,oc->bohw", window, weight[:, :, y, x])
    return total
