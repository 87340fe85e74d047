import json

import pytest
import yaml

from monai_kd.experiment import Stage


@pytest.fixture
def stage(tmp_path):
    """A stage of a job of one setting, by what it depends on."""

    def make(*, recipe="phantom", data="abc", epochs=3):
        (tmp_path / "run.yaml").write_text(
            yaml.safe_dump({"epochs": epochs, "training": ["$@epochs"]})
        )
        (tmp_path / "overlay.yaml").write_text("title: teacher")
        (tmp_path / "dataset.json").write_text(json.dumps({"sha256": data}))
        return Stage(
            str(tmp_path / "overlay.yaml"),
            config_file=str(tmp_path / "run.yaml"),
            meta_file="",
            folder="teacher-{hash}",
            dataset_file=tmp_path / "dataset.json",
            recipe=recipe,
        )

    return make


def test_the_same_training_has_the_same_folder(stage):
    assert stage().folder == stage().folder


@pytest.mark.parametrize("other", [{"recipe": "full"}, {"data": "def"}, {"epochs": 4}])
def test_another_recipe_other_data_or_settings_have_a_folder_of_their_own(stage, other):
    assert stage().folder != stage(**other).folder
