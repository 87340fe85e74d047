"""A second opinion of a case, from its mirror image: how far both agree, and what they say."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from monai_kd.inference.runtimes.runtime import Runtime

COPY_BYTES = 16  # per voxel: four channels of the image, mirrored
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def measure_agreement(first: Mapping[str, Mask], second: Mapping[str, Mask]) -> dict[str, float]:
    """Return the Dice of each output, from 0 to 1; two opinions that nothing is there agree: 1."""
    return {name: dice(mask, second[name]) for name, mask in first.items()}


def dice(one: Mask, other: Mask) -> float:
    """Twice what both share over the sum of both; 1 where both are empty."""
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / total if total else 1.0


def join_opinions(first: Mapping[str, Floats], second: Mapping[str, Floats]) -> dict[str, Floats]:
    """The mean of two probabilities, which is near a half where they differ."""
    half = np.float32(0.5)
    return {name: half * own + half * second[name] for name, own in first.items()}


class MirroredRuntime:
    """A runtime that sees left for right and turns its answer back: a cheap second opinion."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.name = runtime.name
        self.device = runtime.device
        self.threads = runtime.threads
        self.bytes_per_voxel = runtime.bytes_per_voxel + COPY_BYTES
        self.note = runtime.note

    def run(self, image: Floats) -> Floats:
        """Return logits (K D H W) of an image (C D H W), whose D runs to the right."""
        mirrored = np.ascontiguousarray(image[:, ::-1])
        return self._runtime.run(mirrored)[:, ::-1]

    def release(self) -> None:
        """Give back what the runtime itself keeps."""
        self._runtime.release()
