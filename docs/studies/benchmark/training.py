"""Milliseconds of a training step: forward, backward, AdamW, one window."""

import torch
from torch import nn

from docs.studies.benchmark.backends import LAYOUTS, Call, Candidate, make_image
from docs.studies.benchmark.networks import make_network

WINDOW = 96
LEARNING_RATE = 1e-4


def prepare_step(candidate: Candidate, *, device: str = "cpu") -> Call:
    """Return a call that makes one optimisation step on soft noise."""
    layout = LAYOUTS[candidate.layout]
    network = make_network(candidate.network, candidate.window).train()
    network = network.to(device, memory_format=layout)
    image = make_image(candidate.window).to(device, memory_format=layout)
    label = (image[:, :3] > 0).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)

    def step() -> None:
        logits = network(image)
        finest = logits[0] if isinstance(logits, list) else logits
        loss = nn.functional.binary_cross_entropy_with_logits(finest, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
