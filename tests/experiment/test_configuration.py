import pytest
import yaml
from monai.bundle import ConfigWorkflow

from monai_kd.experiment import ExperimentError, check_configuration
from monai_kd.experiment.configuration import hash_settings, reachable_settings

CONFIG = {
    "imports": ["$import monai_kd.experiment as experiment"],
    "max_epochs": 3,
    "channels": "$@settings['channels']",
    "settings": {"channels": 4},
    "network_def": {
        "_target_": "monai_kd.networks.EfficientNetStudent",
        "in_channels": "@channels",
        "out_channels": 3,
    },
    "initialize": ["$experiment.check_configuration()"],
    "training": ["$(@max_epochs, @network_def)"],
}


@pytest.fixture
def start(tmp_path):
    def start(*, run_id="training", config=CONFIG, **overrides):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        workflow = ConfigWorkflow(
            str(path), meta_file=None, logging_file=False, run_id=run_id, **overrides
        )
        workflow.initialize()
        return workflow

    return start


def message(error):
    return str(error.value.__cause__)


def test_a_sound_configuration_passes(start):
    assert start(max_epochs=5).run()[0][0] == 5


def test_a_misspelt_override_is_stopped_and_the_right_key_named(start):
    with pytest.raises(RuntimeError) as error:
        start(max_epocs=3)
    assert "unknown key 'max_epocs'" in message(error)
    assert "did you mean 'max_epochs'?" in message(error)


def test_a_key_like_no_other_lists_the_known_ones(start):
    with pytest.raises(RuntimeError) as error:
        start(zzz=3)
    assert "known are" in message(error)


def test_a_misspelt_argument_of_a_component_is_stopped(start):
    with pytest.raises(RuntimeError) as error:
        start(**{"network_def#in_chanels": 4})
    assert "'network_def#in_chanels'" in message(error)
    assert "did you mean 'in_channels'?" in message(error)


def test_a_target_that_does_not_exist_is_stopped(start):
    with pytest.raises(RuntimeError) as error:
        start(**{"network_def#_target_": "monai_kd.networks.EfficientNetTeacher"})
    assert "there is no monai_kd.networks.EfficientNetTeacher" in message(error)


def test_a_reference_to_nothing_is_stopped(start):
    with pytest.raises(RuntimeError) as error:
        start(config={**CONFIG, "training": ["$@max_epoch"]})
    assert "'@max_epoch'" in message(error)


def test_an_unknown_run_id_is_stopped_before_any_work(start):
    with pytest.raises(RuntimeError) as error:
        start(run_id="trainings")
    assert "did you mean 'training'?" in message(error)


def test_keys_that_only_an_overlay_reads_are_known(start, tmp_path):
    (tmp_path / "overlay.yaml").write_text("max_epochs: '@teacher_epochs'\n")
    stage = {
        "_target_": "monai_kd.experiment.Stage",
        "overlays": [str(tmp_path / "overlay.yaml")],
        "config_file": "",
        "meta_file": "",
        "folder": "",
        "dataset_file": "",
    }
    config = {
        **CONFIG,
        "stage": stage,
        "teacher_epochs": 2,
        "training": ["$@stage", "$@max_epochs, @network_def"],
    }
    start(config=config)
    before = hash_settings(config)
    (tmp_path / "overlay.yaml").write_text("max_epochs: 2\n")
    assert hash_settings(config) != before


def test_a_key_of_an_inference_bundle_is_no_key_of_a_training_one(start):
    with pytest.raises(RuntimeError) as error:
        start(dataset="/data/BraTS")
    assert "unknown key 'dataset'" in message(error)


def test_a_check_outside_a_workflow_says_so():
    with pytest.raises(ExperimentError, match="no bundle workflow is running"):
        check_configuration()


def test_a_component_is_read_with_its_references_resolved(start):
    config = {**CONFIG, "training": ["$experiment.read_component('network_def')", "$@max_epochs"]}
    found = start(config=config).run()[0]
    assert found["in_channels"] == 4
    assert found["_target_"] == "monai_kd.networks.EfficientNetStudent"


def test_hash_sees_every_setting_that_counts_and_no_other():
    base = hash_settings(CONFIG)
    assert hash_settings({**CONFIG, "max_epochs": 4}) != base
    assert hash_settings({**CONFIG, "settings": {"channels": 5}}) != base
    assert hash_settings({**CONFIG, "run_dir": "elsewhere", "initialize": []}) == base


def test_hash_does_not_depend_on_the_order_of_keys(tmp_path):
    config = {"training": ["$@b", "$@a"]}
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"epochs: {len(config)}\n")
        overlay = str(tmp_path / f"{name}.yaml")
        config[name] = {"_target_": "monai_kd.experiment.Stage", "overlays": [overlay]}
    assert hash_settings(dict(reversed(config.items()))) == hash_settings(config)


def test_reachable_settings_follow_references_through_references():
    assert set(reachable_settings(CONFIG, root="training")) == {
        "training", "max_epochs", "network_def", "channels", "settings",
    }  # fmt: skip
