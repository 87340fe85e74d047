"""A teacher that somebody else trained: the network of a bundle in the model zoo's format."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from monai.bundle import ConfigParser
from torch import nn

from monai_kd.experiment.epoch_checkpoint import BEST
from monai_kd.experiment.errors import ExperimentError
from monai_kd.experiment.weights import load_weights

StrPath = str | os.PathLike[str]

CONFIGS = tuple(
    f"configs/{name}.{kind}" for name in ("inference", "train") for kind in ("json", "yaml", "yml")
)
NETWORK, SCRIPTS = "network_def", "scripts"


class GivenTeacher:
    """Stands where a `Stage` trains a teacher; here there is nothing to train.

    The folder has no `history.json`, so the report shows no curves of this teacher.

    Args:
        folder: a bundle's folder, its weights in `models/model.pt`.
    """

    def __init__(self, folder: StrPath) -> None:
        self.folder = Path(folder) / "models"

    @property
    def checkpoint(self) -> Path:
        """The weights that came with the bundle."""
        return self.folder / BEST

    def run(self) -> Path:
        """Return the checkpoint."""
        return self.checkpoint


def read_bundle_network(folder: StrPath) -> nn.Module:
    """Build the network of a bundle's folder and load the weights that lie there, all of them.

    A bundle's configuration is code: its `network_def` may call anything, the bundle's own
    `scripts` too. Read only a bundle whose giver is trusted. The weights load without pickle.
    """
    bundle = Path(folder)
    config = _find_config(bundle)
    network = _build_network(bundle, config)
    checkpoint = GivenTeacher(bundle).checkpoint
    if not checkpoint.is_file():
        raise ExperimentError(f"{bundle} has no models/{BEST}: put the teacher's weights there")
    try:
        load_weights(network, checkpoint)
    except UnpicklingError as error:
        raise ExperimentError(
            f"{checkpoint} holds more than weights, or is damaged: save the network's state dict "
            "alone, by torch.save(network.state_dict(), ...)"
        ) from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ExperimentError(
            f"{checkpoint} does not fit {NETWORK} in {config.name}: {reason}"
        ) from error
    return network


def _find_config(bundle: Path) -> Path:
    if not bundle.is_dir():
        raise ExperimentError(f"there is no bundle at {bundle}: give --teacher_bundle FOLDER")
    found = [bundle / name for name in CONFIGS if (bundle / name).is_file()]
    if not found:
        raise ExperimentError(
            f"{bundle} is no bundle, it has none of {', '.join(CONFIGS)}: give the folder that "
            "holds configs and models"
        )
    for path in found:
        if NETWORK in ConfigParser.load_config_file(path):
            return path
    raise ExperimentError(
        f"{bundle} has no {NETWORK} in {' or '.join(path.name for path in found)}: give its "
        "network that name there"
    )


def _build_network(bundle: Path, config: Path) -> nn.Module:
    parser = ConfigParser()
    parser.read_config(config)
    parser["bundle_root"] = str(bundle)
    with _scripts_of(bundle):
        network: Any = parser.get_parsed_content(NETWORK)
    if not isinstance(network, nn.Module):
        raise ExperimentError(
            f"{NETWORK} in {config} is a {type(network).__name__}, expected a torch.nn.Module"
        )
    return network


@contextmanager
def _scripts_of(bundle: Path) -> Iterator[None]:
    """`import scripts` finds this bundle's own, and no longer does so afterwards."""
    before = _forget_scripts()
    sys.path.insert(0, str(bundle.absolute()))
    try:
        yield
    finally:
        sys.path.remove(str(bundle.absolute()))
        _forget_scripts()
        sys.modules.update(before)


def _forget_scripts() -> dict[str, Any]:
    names = [name for name in sys.modules if name.partition(".")[0] == SCRIPTS]
    return {name: sys.modules.pop(name) for name in names}
