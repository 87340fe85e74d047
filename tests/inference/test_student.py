"""A bundle's facts, and one line for each way in which they can be wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep.brats.labels import BRATS2023
from data_prep.errors import DatasetError
from monai_kd.inference.student import Student, read_student
from monai_kd.outputs import Task


def test_facts_are_those_that_were_packed(student: Student) -> None:
    outputs = {"TC": (1, 3), "WT": (1, 2, 3), "ET": (3,)}
    assert student.task == Task("regions", 3, ("t1ce", "t1", "t2", "flair"), outputs)
    assert list(student.task.outputs) == ["TC", "WT", "ET"]
    assert student.outputs == ("WT", "TC", "ET")
    assert student.spacing_mm == (1.0, 1.0, 1.0)
    assert (student.window, student.divisor) == ((48, 60, 56), 4)
    assert student.scheme == BRATS2023
    assert student.onnx_file.is_file()
    assert student.checkpoint.is_file()


def test_regions_of_another_task_are_those_in_the_names_of_its_labels(own_bundle: Path) -> None:
    def describe(metadata: dict[str, Any]) -> None:
        outputs_of(metadata).update(num_channels=2, channel_def={"0": "lake", "1": "ice"})
        pred = metadata["network_data_format"]["post_processed_outputs"]["pred"]
        pred["channel_def"] = {"0": "Background", "1": "lake", "2": "ice", "4": "lake/ice"}

    change(own_bundle, "metadata", describe)
    student = read_student(own_bundle)
    assert student.task.outputs == {"lake": (1, 4), "ice": (2, 4)}
    assert student.scheme.regions == student.task.outputs


def test_reading_runs_nothing_of_the_bundle(own_bundle: Path) -> None:
    trap = own_bundle / "ran"
    for script in (own_bundle / "scripts").glob("*.py"):
        script.write_text(f"open({str(trap)!r}, 'w')")
    change(own_bundle, "inference", lambda c: c.update(trap=f"$open({str(trap)!r}, 'w')"))
    read_student(own_bundle)
    assert not trap.exists()


def test_hash_changes_with_weights_and_configuration_and_with_nothing_else(
    own_bundle: Path, student: Student
) -> None:
    (own_bundle / "docs" / "README.md").write_text("other words")
    assert read_student(own_bundle).sha256 == student.sha256
    (own_bundle / "models" / "model.onnx").write_bytes(b"other weights")
    assert read_student(own_bundle).sha256 != student.sha256


def image_of(metadata: dict[str, Any]) -> dict[str, Any]:
    image: dict[str, Any] = metadata["network_data_format"]["inputs"]["image"]
    return image


def outputs_of(metadata: dict[str, Any]) -> dict[str, Any]:
    pred: dict[str, Any] = metadata["network_data_format"]["outputs"]["pred"]
    return pred


def step_of(config: dict[str, Any], name: str) -> dict[str, Any]:
    steps = config["preprocessing"]["transforms"]
    return next(step for step in steps if step["_target_"].endswith(name))


FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "no network": ("inference", lambda c: c.pop("network_def"), "'network_def' is missing"),
    "orientation": (
        "inference",
        lambda c: step_of(c, "Orientationd").update(axcodes="LPS"),
        "its Orientationd has .*LPS.* expected .*RAS",
    ),
    "spacing": (
        "inference",
        lambda c: step_of(c, "ResampleToSpacingd").update(_target_="Spacingd"),
        "it prepares scans by .*Spacingd",
    ),
    "normalisation": (
        "inference",
        lambda c: step_of(c, "NormalizeForegroundd").update(lower=1),
        "its NormalizeForegroundd has",
    ),
    "no name": ("metadata", lambda m: m.pop("name"), "'name' is missing"),
    "window": ("inference", lambda c: c.update(window=[32]), "values to unpack"),
    "size": ("metadata", lambda m: image_of(m).update(spatial_shape=["*"] * 3), "such as 16"),
    "channels": ("metadata", lambda m: image_of(m).update(num_channels=3), "expected 3"),
    "regions": (
        "metadata",
        lambda m: outputs_of(m).update(channel_def={"0": "Liver"}, num_channels=1),
        "its region Liver is in none of its labels necrotic core",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_missing_and_foreign_facts_are_told_in_one_line(fault: str, own_bundle: Path) -> None:
    file, spoil, words = FAULTS[fault]
    change(own_bundle, file, spoil)
    with pytest.raises(DatasetError, match=words) as told:
        read_student(own_bundle)
    assert "\n" not in str(told.value)
    assert str(told.value).endswith("pack or copy the bundle again")


def test_a_folder_that_is_no_whole_bundle_is_told(own_bundle: Path, tmp_path: Path) -> None:
    (own_bundle / "configs" / "metadata.json").write_text('{"name": ')
    reasons = {
        own_bundle: r"metadata.json cannot be read as JSON",
        tmp_path: "is no bundle, it has no configs/inference.json",
        tmp_path / "absent": "no folder",
    }
    for folder, reason in reasons.items():
        with pytest.raises(DatasetError, match=reason):
            read_student(folder)


def test_bundle_without_resampling_has_no_spacing(own_bundle: Path) -> None:
    def forget(config: dict[str, Any]) -> None:
        steps = config["preprocessing"]["transforms"]
        steps[:] = [step for step in steps if "Resample" not in step["_target_"]]

    change(own_bundle, "inference", forget)
    assert read_student(own_bundle).spacing_mm is None


def change(bundle: Path, name: str, spoil: Callable[[dict[str, Any]], object]) -> None:
    file = bundle / "configs" / f"{name}.json"
    content = json.loads(file.read_text())
    spoil(content)
    file.write_text(json.dumps(content))
