import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from monai.bundle import ConfigParser

from monai_kd.networks import EfficientNetStudent

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT.parent / "shared" / "schemas" / "meta_schema_20240725.json"
Pack = Callable[..., Path]


def read(bundle: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / "configs" / name).read_text())
    return content


def test_bundle_has_the_files_that_the_zoo_asks_for(bundle: Path) -> None:
    for name in ("LICENSE", "configs/metadata.json", "configs/inference.json", "models/model.pt"):
        assert (bundle / name).is_file()
    assert {path.suffix for path in (bundle / "configs").iterdir()} == {".json", ".conf"}
    assert "Research use only" in (bundle / "docs" / "README.md").read_text()


def test_nothing_in_the_bundle_needs_us_or_knows_this_machine(bundle: Path, tmp_path: Path) -> None:
    texts = [path for path in bundle.rglob("*") if path.suffix in {".json", ".py", ".conf", ".md"}]
    for path in texts:
        assert not re.search(r"import monai_kd|from monai_kd|monai_kd\.", path.read_text()), path
        assert str(tmp_path.parent) not in path.read_text()


def test_macros_are_resolved_and_references_kept(bundle: Path) -> None:
    config = read(bundle, "inference.json")
    text = json.dumps(config)
    assert '"%' not in text
    assert config["inferer"]["roi_size"] == "@window"
    assert config["window"] == [32, 32, 32]


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the zoo's schema does not lie beside the project")
def test_metadata_is_valid_by_the_schema_of_the_zoo(bundle: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(read(bundle, "metadata.json"), schema)
    authored = json.loads((ROOT / "bundles" / "metadata.json").read_text())
    jsonschema.validate(authored, schema)


def test_metadata_pins_what_can_be_installed_anywhere(bundle: Path) -> None:
    metadata = read(bundle, "metadata.json")
    pins = [metadata[key] for key in ("monai_version", "pytorch_version", "numpy_version")]
    pins += metadata["required_packages_version"].values()
    assert all(re.fullmatch(r"\d+(\.\d+)+", pin) for pin in pins)
    assert metadata["version"] in metadata["changelog"]


def test_metadata_tells_what_was_measured_and_leaves_out_what_was_not(bundle: Path) -> None:
    measured = read(bundle, "metadata.json")["eval_metrics"]
    assert measured["mean_dice"] == measured["undistilled_mean_dice"] == 0.855
    assert "teacher_wt_dice" in measured
    assert "et_dice" not in measured


def test_formats_agree_with_channels(bundle: Path) -> None:
    tensors = read(bundle, "metadata.json")["network_data_format"]
    pred, saved = (tensors[key]["pred"] for key in ("outputs", "post_processed_outputs"))
    assert (pred["format"], pred["num_channels"], len(pred["channel_def"])) == ("classes", 3, 3)
    assert (saved["format"], saved["num_channels"], saved["dtype"]) == ("segmentation", 1, "uint8")
    assert sorted(map(int, saved["channel_def"])) == [0, 1, 2, 3]


@pytest.mark.parametrize("multiple", [1, 2, 3])
def test_the_shape_rule_holds(multiple: int, bundle: Path, parts: dict[str, Any]) -> None:
    rule = read(bundle, "metadata.json")["network_data_format"]["inputs"]["image"]["spatial_shape"]
    assert rule == ["32*n"] * 3
    network = ConfigParser({"net": parts["network_config"]}).get_parsed_content("net").eval()
    size = (32 * multiple, 32, 32)
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, *size)).shape == (1, 3, *size)


def test_weights_are_a_plain_state_dict(bundle: Path) -> None:
    weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(torch.is_tensor(value) for value in weights.values())
    EfficientNetStudent().load_state_dict(weights)


def test_keys_that_label_deploy_and_slicer_read_are_there(bundle: Path) -> None:
    config, metadata = read(bundle, "inference.json"), read(bundle, "metadata.json")
    label = {"network_def", "preprocessing", "postprocessing", "inferer", "bundle_root", "device"}
    slicer = {"dataset_dir", "output_dir", "datalist", "dataloader", "evaluator"}
    assert label | slicer <= set(config)
    assert config["handlers"][0]["_target_"] == "CheckpointLoader"  # read without initialize
    assert "map_location" in config["handlers"][0]
    assert (metadata["modality"], metadata["organ"]) == ("MR", "Brain")
    assert next(iter(metadata["network_data_format"]["inputs"])) == "image"


def test_a_training_checkpoint_gives_the_same_weights(
    pack: Pack, parts: dict[str, Any], tmp_path: Path
) -> None:
    weights = torch.load(parts["checkpoint"], weights_only=True)
    torch.save({"model": weights, "epoch": 3}, tmp_path / "last.pt")
    packed = pack(checkpoint=tmp_path / "last.pt") / "models" / "model.pt"
    assert torch.load(packed, weights_only=True).keys() == weights.keys()


def test_weights_of_another_network_are_refused(pack: Pack, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(RuntimeError, match="Missing key"):
        pack(checkpoint=tmp_path / "other.pt")
    assert not (tmp_path / "student").exists()


def test_a_network_that_breaks_the_promised_shape_is_refused(pack: Pack, tmp_path: Path) -> None:
    torch.save(torch.nn.Conv3d(4, 3, 3).state_dict(), tmp_path / "shrinking.pt")
    network = {"_target_": "torch.nn.Conv3d", "in_channels": 4, "out_channels": 3, "kernel_size": 3}
    with pytest.raises(ValueError, match=r"returns \(1, 3, 30, 30, 30\) where the metadata"):
        pack(checkpoint=tmp_path / "shrinking.pt", network_config=network)


def test_an_older_bundle_is_replaced_and_another_folder_never(pack: Pack) -> None:
    folder = pack()
    (folder / "stale").touch()
    assert not (pack() / "stale").exists()
    os.remove(folder / "configs" / "metadata.json")
    with pytest.raises(FileExistsError, match="is no bundle"):
        pack()


def test_packing_from_another_place_gives_the_same_files(
    pack: Pack, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    packed = pack()
    for name in ("configs/inference.json", "configs/metadata.json", "docs/README.md"):
        assert (packed / name).read_bytes() == (bundle / name).read_bytes()
