from pathlib import Path

import pytest

from monai_kd.export.vendoring import list_required_packages, vendor_targets

OURS = {"_target_": "monai_kd.inference.transforms.RegionsToLabeld", "keys": "pred"}


def test_targets_of_ours_are_copied_and_renamed_at_any_depth(tmp_path: Path) -> None:
    config = {"steps": [{"_target_": "Compose", "transforms": [OURS]}], "amp": False}
    found = vendor_targets(config, scripts=tmp_path / "scripts")
    step = found["steps"][0]["transforms"][0]
    assert step == {"_target_": "scripts.outputs_to_label.RegionsToLabeld", "keys": "pred"}
    assert (tmp_path / "scripts" / "outputs_to_label.py").is_file()
    assert config["steps"][0]["transforms"] == [OURS]


def test_targets_of_others_are_left_alone(tmp_path: Path) -> None:
    config = {"_target_": "Compose", "transforms": [{"_target_": "torch.nn.ReLU"}]}
    assert vendor_targets(config, scripts=tmp_path / "scripts") == config
    assert not (tmp_path / "scripts").exists()


def test_a_target_used_twice_is_copied_once(tmp_path: Path) -> None:
    vendor_targets([OURS, OURS], scripts=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["outputs_to_label.py"]


def test_a_file_that_imports_another_of_ours_is_refused(tmp_path: Path) -> None:
    config = {"_target_": "monai_kd.export.pack_bundle"}
    with pytest.raises(ValueError, match=r"bundle\.py imports monai_kd.*stand alone"):
        vendor_targets(config, scripts=tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "outputs_to_label.py").write_text("another = True\n")
    with pytest.raises(ValueError, match="two different files are called outputs_to_label"):
        vendor_targets(OURS, scripts=tmp_path)


def test_a_target_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"monai_kd\.inference\.Missing is no class"):
        vendor_targets({"_target_": "monai_kd.inference.Missing"}, scripts=tmp_path)


def test_an_expression_that_needs_us_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write it as a _target_"):
        vendor_targets({"device": "$monai_kd.inference.choose_device()"}, scripts=tmp_path)


def test_packages_are_those_that_the_files_import(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import os\nimport torch.nn\nfrom monai.data import Dataset\n")
    assert list_required_packages(tmp_path) == {}
    (tmp_path / "b.py").write_text("from einops import rearrange\nimport yaml\n")
    assert list(list_required_packages(tmp_path)) == ["PyYAML", "einops"]
