"""What references in NumPy float64 are written with, and how terms are asked."""

import itertools

import numpy as np
import torch

from monai_kd.outputs import DistillationOutput, NetworkOutput
from tests.distillation.feature_cases import FINE

LABEL = torch.zeros(2, 1, 4, 6)
EPSILON = 1e-6


def fit(term, output):
    """The term in double precision, its projectors of these shapes."""
    term.fit(output)
    return term.double()


def evaluate(term, output):
    torch.manual_seed(0)
    return term.double()(output, LABEL).item()


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


def normal(values, axis=-1, epsilon=EPSILON):
    centred = values - values.mean(axis, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis, keepdims=True) + epsilon)


def softmax(values):
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def divergence(p, q):
    return (p * np.log(p / q)).sum(-1).mean()


def cosine_distance(first, second):
    """Half the squared distance of vectors of length one, which is 1 - cos."""
    first, second = (x / np.sqrt((x**2).sum(-1, keepdims=True) + EPSILON) for x in (first, second))
    return 0.5 * ((first - second) ** 2).sum(-1).mean()


def cosines(tokens):
    tokens = tokens / np.sqrt((tokens**2).sum(-1, keepdims=True) + EPSILON)
    return tokens @ tokens.swapaxes(1, 2)


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
