"""By what tensors and networks are recognised."""

from collections.abc import Mapping
from hashlib import blake2b, sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def hash_tensor(values: Tensor) -> str:
    """Hash of type, shape and bytes, in hexadecimal; processors have instructions for this one."""
    if values.dtype == torch.bfloat16:  # NumPy has none
        values = values.float()
    array = np.ascontiguousarray(values.detach().cpu().numpy())
    digest = sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(array.data)
    return digest.hexdigest()[:32]


def hash_weights(state: Mapping[str, Any]) -> str:
    """Hash of a state dict's tensors and their names, whatever file they lie in."""
    digest = sha256()
    for name, values in state.items():
        known = hash_tensor(values) if isinstance(values, Tensor) else values
        digest.update(f"{name} {known}".encode())
    return digest.hexdigest()


def hash_network(network: nn.Module, *, answer: Tensor) -> str:
    """Hash of class, weights, and 16 numbers of an answer; settings and code show in the latter.

    They are rounded to bfloat16, because sums differ in their last bits with the number of threads
    and the device. Where one falls otherwise nonetheless, the bank is filled anew.
    """
    kind = f"{type(network).__module__}.{type(network).__qualname__}"
    spread = torch.linspace(0, answer.numel() - 1, 16).long()
    shown = hash_tensor(answer.flatten()[spread].bfloat16())
    known = f"{kind} {hash_weights(network.state_dict())} {shown}"
    return blake2b(known.encode(), digest_size=12).hexdigest()
