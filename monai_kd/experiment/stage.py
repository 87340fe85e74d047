"""One more training of the running bundle with overlays: its teacher, its twin."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_kd.experiment.configuration import hash_settings
from monai_kd.experiment.epoch_checkpoint import BEST, is_finished


class Stage:
    """Trains what the run's own configuration says with `overlays` over it, unless it is done.

    `{hash}` in `folder` becomes the hash of all that the training depends on, data included, so
    that a teacher is found again by any run that would train the same one. `seed` is the stage's
    own, the run's if it is left out.
    """

    def __init__(
        self,
        overlays: Sequence[str],
        *,
        config_file: str,
        meta_file: str,
        folder: str,
        dataset_file: str | os.PathLike[str],
        recipe: str,
        seed: int | None = None,
    ) -> None:
        self.config_files = [config_file, *overlays]
        self.meta_file = meta_file
        self.folder_pattern = folder
        self.dataset_file = Path(dataset_file)
        self.recipe = recipe
        self.overrides = {} if seed is None else {"seed": seed}

    @property
    def folder(self) -> Path:
        """Where this stage keeps its checkpoints."""
        parser = ConfigParser()
        parser.read_config(self.config_files)
        parser.update(self.overrides)
        parser.parse()
        data_hash = json.loads(self.dataset_file.read_text())["sha256"]
        settings_hash = hash_settings(parser.config, resolved={"recipe": self.recipe})
        digest = hashlib.sha256((settings_hash + data_hash).encode())
        return Path(self.folder_pattern.format(hash=digest.hexdigest()[:12]))

    @property
    def checkpoint(self) -> Path:
        """The plain state dict of the stage's best network."""
        return self.folder / BEST

    def run(self) -> Path:
        """Train or resume, unless it is done; return the checkpoint."""
        folder = self.folder
        if not is_finished(folder):
            workflow = ConfigWorkflow(
                config_file=self.config_files,
                meta_file=self.meta_file,
                logging_file=False,
                run_id="training",
                stage_dir=str(folder),
                dataset_file=str(self.dataset_file),
                **self.overrides,
            )
            workflow.initialize()
            workflow.run()
        return self.checkpoint
