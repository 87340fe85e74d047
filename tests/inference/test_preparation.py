"""The prepared image is the one that training and the bundle's own configuration see."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.transforms import Compose

from data_prep.brats.sequences import SEQUENCES
from data_prep.checks import Inspection
from monai_kd.inference.segmenting.preparation import Prepared, prepare_image

SOURCE = Path(__file__).parents[2] / "bundles" / "preprocessing.yaml"
OBLIQUE = np.array(
    [[0.96, -0.28, 0.0, -30], [0.28, 0.96, 0.0, 12], [0.0, 0.0, 1.0, 5], [0, 0, 0, 1]]
)
Inspect = Callable[[Path], Inspection]


def make_scans(folder: Path, *, affine: np.ndarray, change: Callable[[Any], Any]) -> list[str]:
    noise = np.random.default_rng(0)
    paths = []
    for name in SEQUENCES:
        scan = np.zeros((40, 34, 30), np.int16)
        scan[4:33, 3:31, 2:25] = noise.gamma(2, 300, (29, 28, 23)).round()
        volume = change(scan)
        paths.append(str(folder / f"{name}.nii.gz"))
        nibabel.save(nibabel.Nifti1Image(volume, affine), paths[-1])
    return paths


def prepare(inspection: Inspection, **options: Any) -> Prepared:
    settings = {"modalities": SEQUENCES, "spacing_mm": (1.0, 1.0, 1.0), "divisor": 16}
    return prepare_image(inspection.scans, **settings | options)


def prepare_in_monai(paths: list[str]) -> Any:
    parser = ConfigParser(ConfigParser.load_config_file(SOURCE))
    return Compose(parser.get_parsed_content("image"))({"image": paths})["image"]


AXES = list(permutations(range(3)))
CASES = {
    "whole numbers": (np.eye(4), lambda scan: scan),
    **{f"axes {axes}": (np.eye(4)[[*axes, 3]] * [1, -1, 1, 1], lambda scan: scan) for axes in AXES},
    "bytes": (np.eye(4), lambda scan: np.minimum(scan // 8, 255).astype(np.uint8)),
    "below zero": (np.eye(4), lambda scan: scan - np.int16(20) * (scan > 0)),
    "large numbers": (np.eye(4), lambda scan: scan.astype(np.int32) * 40),
    "outlier": (np.eye(4), lambda scan: np.where(scan == scan.max(), 10**6, scan).astype("i4")),
    "fractions": (np.eye(4), lambda scan: scan.astype(np.float32) / 7),
    "big-endian": (np.eye(4), lambda scan: scan.astype(">i2")),
    "oblique": (OBLIQUE, lambda scan: scan),
    "anisotropic": (np.diag([0.8, 1.3, 2.0, 1.0]), lambda scan: scan),
    "oblique and anisotropic": (OBLIQUE @ np.diag([1.5, 1, 0.7, 1]), lambda scan: scan),
    "sheared": (
        np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
        lambda scan: scan,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_image_is_the_one_that_monai_prepares(name: str, inspect: Inspect, tmp_path: Path) -> None:
    affine, change = CASES[name]
    paths = make_scans(tmp_path, affine=affine, change=change)
    expected = prepare_in_monai(paths)
    prepared = prepare(inspect(tmp_path))
    np.testing.assert_allclose(
        prepared.image[:, *prepared.inner], expected.as_tensor().numpy(), atol=2e-4, rtol=1e-5
    )
    grid = prepared.grid.cut(prepared.box)
    np.testing.assert_allclose(grid.affine, expected.affine.numpy(), atol=1e-4)


def test_phantom_is_prepared_to_the_last_digit(inspection: Inspection) -> None:
    paths = [str(inspection.case.images[name].path) for name in SEQUENCES]
    prepared = prepare(inspection)
    np.testing.assert_allclose(
        prepared.image[:, *prepared.inner], prepare_in_monai(paths).numpy(), rtol=1e-6
    )


def test_edges_are_multiples_and_what_is_added_is_0(inspection: Inspection) -> None:
    prepared = prepare(inspection)
    assert all(edge % 16 == 0 for edge in prepared.image.shape[1:])
    around = prepared.image.copy()
    around[:, *prepared.inner] = 0
    assert not around.any()


def test_absent_modality_leaves_its_channel_0_and_the_others_as_they_are(
    inspection: Inspection,
) -> None:
    scans = {name: scan for name, scan in inspection.scans.items() if name != "t2"}
    settings: Any = {"modalities": SEQUENCES, "spacing_mm": None, "divisor": 16}
    image, whole = prepare_image(scans, **settings), prepare(inspection)
    assert not image.image[2].any()
    np.testing.assert_array_equal(image.image[[0, 1, 3]], whole.image[[0, 1, 3]])


def test_threads_make_no_difference(inspection: Inspection) -> None:
    one, three = (prepare(inspection, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.image, three.image)


def test_a_broken_scan_is_refused_with_its_name(tmp_path: Path) -> None:
    paths = make_scans(tmp_path, affine=np.eye(4), change=lambda scan: scan / np.float32(0))
    with pytest.raises(RuntimeError) as refusal, np.errstate(all="ignore"):
        prepare_in_monai(paths)
    assert "t1ce.nii.gz: 40800 voxel(s) of t1ce are NaN or inf" in str(refusal.value.__cause__)
