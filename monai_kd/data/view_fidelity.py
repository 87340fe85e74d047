"""How far stored logits are from the teacher's, by the probabilities that they stand for."""

import json
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from monai_kd.data.logit_store import LogitStore
from monai_kd.data.named_lines import append_line, read_lines
from monai_kd.files import replace_file

MEASURED, SUMMARY = "fidelity.jsonl", "fidelity.json"


def measure_fidelity(store: LogitStore, name: str, *, live: Tensor, stored: Tensor) -> None:
    """Write down one window's largest and mean difference, and the share of flipped voxels."""
    difference = (torch.sigmoid(live) - torch.sigmoid(stored)).abs()
    flipped = ((live > 0) != (stored > 0)).float()
    values = [difference.max().item(), difference.mean().item(), flipped.mean().item()]
    append_line(store.folder / MEASURED, name, values)


def sum_up_fidelity(store: LogitStore) -> dict[str, Any]:
    """Write the summary over every window, whichever process has stored it; return it."""
    measured = [
        values
        for values in read_lines(store.folder / MEASURED).values()
        if len(values) == 3 and all(isinstance(value, float) for value in values)
    ]
    largest, mean, flipped = zip(*measured, strict=True) if measured else ([0.0],) * 3
    summary = {
        "windows": len(measured),
        "largest_difference": max(largest),
        "mean_difference": fmean(mean),
        "flipped_share": fmean(flipped),
        "keep": store.keep,
        "temperature": store.temperature,
    }
    with replace_file(store.folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=1))
    return summary
