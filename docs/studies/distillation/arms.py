"""What is compared: the bundle's own overlays, alone and together, and the controls."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PATHWAYS = "bundles/pathways"
RATE = 1.0e-2  # of all arms; the best of 4e-3 and 1e-2 for the twin on validation cases
OFF = {"loss#terms#boundary#weight": 0.0}
SINGLE = (
    ("nested", "nested, decoupled"),
    ("channelwise", "channel-wise"),
    ("correlation", "correlation"),
    ("hidden", "hidden, channel mean"),
    ("hidden_regressor", "hidden, regressor"),
    ("latent", "latent L1, normalised"),
    ("affinity", "affinity"),
    ("attention", "attention transfer"),
    ("transformer", "transformer to CNN"),
    ("stage_heads", "stage heads"),
    ("fusion", "MSGFF transfer"),
)


@dataclass(frozen=True)
class Arm:
    """One row: overlays and settings over the bundle, and how the teacher is asked."""

    name: str
    overlays: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    teacher: str | None = "trained"  # or flipped, ensemble, shuffled, untrained
    unlabelled: bool = True
    longer: int = 1
    rate: float = RATE


def overlay(*names: str) -> tuple[str, ...]:
    """Paths of the bundle's pathways."""
    return tuple(f"{PATHWAYS}/{name}.yaml" for name in names)


TWIN = Arm("twin", settings=OFF, teacher=None, unlabelled=False)
LONGER = Arm("twin, twice the steps", settings=OFF, teacher=None, unlabelled=False, longer=2)
SOFT = {**OFF, "loss#terms#soft_overlap#weight": 1.0}
OVERLAP = overlay("soft_overlap")
BOTH = overlay("soft_overlap", "balanced")
PLAIN = Arm("plain divergence", overlay("logits"))
BALANCED = Arm("balanced divergence", overlay("balanced"), OFF)
DEFAULT = Arm("boundary (default)")
COMBINED = [
    Arm("balanced + boundary", overlay("balanced")),
    Arm("soft + a little balanced", BOTH, {**OFF, "loss#terms#soft_label#weight": 0.05}),
    Arm("soft + balanced", BOTH, OFF),
    Arm("soft + balanced + boundary", BOTH),
]
CONTROLS = [
    Arm("default, shuffled teacher", teacher="shuffled"),
    Arm("default, untrained teacher", teacher="untrained"),
]

FULL = [
    TWIN,
    LONGER,
    DEFAULT,
    Arm("soft Dice + BCE", OVERLAP, SOFT),
    PLAIN,
    BALANCED,
    *COMBINED,
    *(Arm(name, overlay(file), OFF) for file, name in SINGLE),
    Arm("boundary and 11 pathways", overlay(*(file for file, _ in SINGLE))),
    *CONTROLS,
]

GATED = {
    "loss#terms#soft_overlap#gate": {"_target_": "monai_kd.distillation.ReliabilityGate"},
}
FEW = [
    TWIN,
    LONGER,
    Arm("hard pseudo-labels", overlay("pseudo_label")),
    DEFAULT,
    Arm("soft Dice + BCE", OVERLAP, SOFT),
    Arm("soft, gated", OVERLAP, {**SOFT, **GATED}),
    Arm("soft + hard", overlay("pseudo_label", "soft_overlap"), SOFT),
    Arm("soft + channel-wise", overlay("channelwise", "soft_overlap"), SOFT),
    Arm("soft + boundary", OVERLAP, {"loss#terms#soft_overlap#weight": 1.0}),
    BALANCED,
    *COMBINED,
    PLAIN,
    Arm("default, flipped teacher", teacher="flipped"),
    Arm("default, ensemble", teacher="ensemble"),
    Arm("hard, ensemble", overlay("pseudo_label"), teacher="ensemble"),
    *CONTROLS,
]
STUDIES = {"full": FULL, "few": FEW}
