import json
import sys

import pytest
import torch
import yaml
from torch import nn

from monai_kd.experiment import ExperimentError, GivenTeacher, read_bundle_network

NETWORK = "class Small(torch.nn.Conv3d):\n    pass\n"
DEFINITION = {"_target_": "scripts.small.Small", "in_channels": "@channels", "out_channels": 3}
CONFIG = {"channels": 4, "network_def": {**DEFINITION, "kernel_size": 1}}


@pytest.fixture
def bundle(tmp_path):
    """A folder in the zoo's format, its network among its own scripts."""
    for name in ("configs", "models", "scripts"):
        (tmp_path / name).mkdir()
    (tmp_path / "scripts/small.py").write_text(f"import torch\n\n\n{NETWORK}")
    (tmp_path / "configs/inference.json").write_text(json.dumps(CONFIG))
    torch.save(nn.Conv3d(4, 3, 1).state_dict(), tmp_path / "models/model.pt")
    return tmp_path


def test_the_network_of_a_bundle_has_the_weights_of_the_bundle(bundle):
    network = read_bundle_network(bundle)
    saved = torch.load(GivenTeacher(bundle).run(), weights_only=True)
    assert type(network).__name__ == "Small"
    assert all(saved[name].equal(value) for name, value in network.state_dict().items())


def test_weights_under_model_are_found_too(bundle):
    state = nn.Conv3d(4, 3, 1).state_dict()
    torch.save({"model": state}, bundle / "models/model.pt")
    assert read_bundle_network(bundle).weight.equal(state["weight"])


def test_a_bundle_that_says_its_network_for_training_alone_is_read(bundle):
    (bundle / "configs/inference.json").write_text("{}")
    (bundle / "configs/train.yaml").write_text(yaml.safe_dump(CONFIG))
    assert read_bundle_network(bundle).out_channels == 3


def test_scripts_of_one_bundle_are_not_taken_for_those_of_another(bundle):
    first, path = type(read_bundle_network(bundle)), list(sys.path)
    (bundle / "scripts/small.py").write_text(f"import torch\n\nOTHER = 1\n\n{NETWORK}")
    assert type(read_bundle_network(bundle)) is not first
    assert "scripts" not in sys.modules
    assert sys.path == path


def change_definition(bundle, **network_def):
    config = {"channels": 4, "network_def": {**CONFIG["network_def"], **network_def}}
    (bundle / "configs/inference.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda bundle: bundle.rename(bundle.with_name("moved")), "there is no bundle at"),
        (lambda bundle: (bundle / "configs/inference.json").unlink(), "is no bundle"),
        (lambda bundle: (bundle / "configs/inference.json").write_text("{}"), "has no network_def"),
        (lambda bundle: (bundle / "models/model.pt").unlink(), "has no models/model.pt"),
        (lambda bundle: torch.save(nn.Conv3d(4, 3, 1), bundle / "models/model.pt"), "more than"),
        (lambda bundle: change_definition(bundle, kernel_size=3), "does not fit network_def"),
        (lambda bundle: change_definition(bundle, _target_="builtins.dict"), "is a dict"),
    ],
)
def test_what_is_no_teacher_is_told_in_a_line(bundle, spoil, told):
    spoil(bundle)
    with pytest.raises(ExperimentError, match=told) as stopped:
        read_bundle_network(bundle)
    assert "\n" not in str(stopped.value)
