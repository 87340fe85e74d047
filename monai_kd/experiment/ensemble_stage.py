"""The training of an ensemble: its members one by one, then their weights in one file."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from monai_kd.experiment.epoch_checkpoint import BEST
from monai_kd.experiment.stage import Stage
from monai_kd.experiment.weights import read_weights, save_state


class EnsembleStage:
    """Trains the networks of an `EnsembleTeacher`, each by a stage with a seed of its own.

    Args:
        make_member: makes the stage of one member, called as `make_member(seed=...)`.
        seeds: one for each member, in the order of the ensemble's networks.
        folder: where their weights are put together; `{hash}` in it becomes the hash of the
            members.
    """

    def __init__(
        self,
        make_member: Callable[..., Stage],
        *,
        seeds: Sequence[int],
        folder: str | os.PathLike[str],
    ) -> None:
        self.members = [make_member(seed=seed) for seed in seeds]
        self.folder_pattern = str(folder)

    @property
    def folder(self) -> Path:
        """Where the weights of the ensemble lie; it has no history, the members have one each."""
        names = " ".join(member.folder.name for member in self.members)
        digest = hashlib.sha256(names.encode()).hexdigest()
        return Path(self.folder_pattern.format(hash=digest[:12]))

    @property
    def checkpoint(self) -> Path:
        """The plain state dict of an `EnsembleTeacher` of the members' best networks."""
        return self.folder / BEST

    def run(self) -> Path:
        """Train what is not trained, put the weights together, return their file."""
        states = [read_weights(member.run()) for member in self.members]
        weights = {
            f"networks.{number}.{name}": weight
            for number, state in enumerate(states)
            for name, weight in state.items()
        }
        save_state(weights, self.checkpoint)
        return self.checkpoint
