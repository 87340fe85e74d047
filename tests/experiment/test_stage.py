import json

import pytest
import torch
import yaml
from torch import nn

from monai_kd.experiment import EnsembleStage, Stage, load_weights
from monai_kd.networks import EnsembleTeacher


@pytest.fixture
def stage(tmp_path):
    """A stage of a job of one setting, by what it depends on."""

    def make(*, recipe="phantom", data="abc", epochs=3, seed=None):
        (tmp_path / "run.yaml").write_text(
            yaml.safe_dump({"epochs": epochs, "seed": 1, "training": ["$@epochs", "$@seed"]})
        )
        (tmp_path / "overlay.yaml").write_text("title: teacher")
        (tmp_path / "dataset.json").write_text(json.dumps({"sha256": data}))
        return Stage(
            [str(tmp_path / "overlay.yaml")],
            config_file=str(tmp_path / "run.yaml"),
            meta_file="",
            folder=str(tmp_path / "teacher-{hash}"),
            dataset_file=tmp_path / "dataset.json",
            recipe=recipe,
            seed=seed,
        )

    return make


def test_the_same_training_has_the_same_folder(stage):
    assert stage().folder == stage().folder


@pytest.mark.parametrize("other", [{"recipe": "full"}, {"data": "def"}, {"epochs": 4}, {"seed": 2}])
def test_another_recipe_other_data_or_settings_have_a_folder_of_their_own(stage, other):
    assert stage().folder != stage(**other).folder


def test_the_seed_of_the_run_is_the_seed_of_a_stage_without_one(stage):
    assert stage(seed=1).folder == stage().folder


def test_the_weights_of_trained_members_become_those_of_their_ensemble(stage, tmp_path):
    members = [nn.Conv3d(2, 2, 1) for _ in range(2)]
    for seed, member in enumerate(members):
        folder = stage(seed=seed).folder
        folder.mkdir()
        torch.save(member.state_dict(), folder / "model.pt")
        (folder / "history.json").write_text(json.dumps({"max_epochs": 1, "records": [{}]}))
    ensemble = EnsembleStage(stage, seeds=[0, 1], folder=str(tmp_path / "ensemble-{hash}"))
    network = EnsembleTeacher([nn.Conv3d(2, 2, 1) for _ in range(2)])
    load_weights(network, ensemble.run())
    for mine, member in zip(network.networks, members, strict=True):
        assert mine.weight.equal(member.weight)
    swapped = EnsembleStage(stage, seeds=[1, 0], folder=str(tmp_path / "ensemble-{hash}"))
    assert swapped.folder != ensemble.folder
