"""However a scan is stored, the mask is the same one and lies on its voxels, codes kept."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_prep.brats.sequences import SEQUENCES
from data_prep.case import Dataset
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.student import read_student
from tests.acceptance.storage import (
    STORAGES,
    TURN,
    UNEVEN,
    Segmenter,
    insert_voxels,
    keeps_place,
    load_upright,
    mark,
    measure_dice,
    save,
)

Image = nibabel.Nifti1Image
Run = Callable[..., tuple[int, list[str], list[str]]]
TURNS = [((0, -1), (1, 1), (2, 1)), ((1, -1), (2, 1), (0, -1)), ((2, -1), (1, -1), (0, 1))]


@pytest.fixture(scope="module")
def images(dataset: Dataset) -> dict[str, Image]:
    return load_upright(dataset)


@pytest.fixture(scope="module")
def predict(
    dataset: Dataset, trained_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Segmenter:
    student = read_student(trained_bundle)
    folder = tmp_path_factory.mktemp("storage")
    return Segmenter(student, open_runtime(student, name="torch", threads=1), dataset, folder)


@pytest.fixture(scope="module")
def upright(images: dict[str, Image], predict: Segmenter) -> np.ndarray:
    mask = predict({name: save(image, predict.folder / name) for name, image in images.items()})
    label = np.asarray(mask.dataobj)
    assert all(500 < (label == value).sum() < label.size / 50 for value in (2, 3))
    return label


@pytest.mark.parametrize("name", STORAGES)
def test_same_voxels_give_the_same_mask_under_the_same_codes(
    name: str, images: dict[str, Image], predict: Segmenter, upright: np.ndarray
) -> None:
    place = predict.folder / name.replace(" ", "")
    place.mkdir()
    files = {kind: STORAGES[name](image, place / kind) for kind, image in images.items()}
    mask = predict(files)
    assert keeps_place(mask, files["t1ce"])
    assert (int(mask.header["qform_code"]), int(mask.header["sform_code"])) == (2, 3)
    assert measure_dice(np.asarray(mask.dataobj), upright) >= 0.99


@pytest.mark.parametrize("turn", TURNS)
def test_resampled_scans_too_may_have_any_order_of_axes(
    turn: tuple[tuple[int, int], ...], images: dict[str, Image], predict: Segmenter
) -> None:
    stretched = {name: mark(Image(image.dataobj, TURN @ UNEVEN)) for name, image in images.items()}
    turned = {name: mark(image.as_reoriented(np.array(turn))) for name, image in stretched.items()}
    straight = predict({n: save(image, predict.folder / n) for n, image in stretched.items()})
    expected = np.asarray(straight.as_reoriented(np.array(turn)).dataobj)
    files = {name: save(image, predict.folder / name) for name, image in turned.items()}
    mask = predict(files)
    assert keeps_place(mask, files["t1ce"])
    assert measure_dice(np.asarray(mask.dataobj), expected) >= 0.97


@pytest.mark.parametrize("counts", [(1, 1, 2), (2, 2, 1)])
def test_voxels_between_voxels_give_the_same_mask_where_both_are(
    counts: tuple[int, ...], images: dict[str, Image], predict: Segmenter, upright: np.ndarray
) -> None:
    finer = {name: insert_voxels(image, counts) for name, image in images.items()}
    files = {name: save(image, predict.folder / name) for name, image in finer.items()}
    mask = predict(files)
    assert keeps_place(mask, files["t1ce"])
    shared = tuple(slice(None, None, count) for count in counts)
    assert measure_dice(np.asarray(mask.dataobj)[shared], upright) >= 0.97


@pytest.fixture
def pairs(images: dict[str, Image], tmp_path: Path) -> dict[str, Path]:
    """The files of one case, by either half of a pair."""
    folder, store = tmp_path / "cases" / "A", STORAGES["pair of .hdr and .img"]
    folder.mkdir(parents=True)
    return {name: store(images[name], folder / f"A_{name}") for name in SEQUENCES}


def test_pairs_are_found_in_a_folder_named_by_either_half_and_known_again_until_changed(
    pairs: dict[str, Path], trained_bundle: Path, tmp_path: Path, run: Run
) -> None:
    out, cases = tmp_path / "out", tmp_path / "cases"
    fixed = ("--bundle", trained_bundle, "--no-report", "--threads", "1")
    assert run("predict", cases, "-o", out, *fixed)[0] == 0
    assert "A  whole, kept" in run("predict", cases, "-o", out, "--continue", *fixed)[1]
    words = [word for name, file in pairs.items() for word in (f"--{name}", file)]
    assert run("predict", *words, "-o", tmp_path / "told", *fixed)[0] == 0
    masks = [(tmp_path / place / "A_seg.nii.gz").read_bytes() for place in ("out", "told")]
    assert masks[0] == masks[1]
    voxels = bytearray(pairs["t2"].read_bytes())
    voxels[len(voxels) // 2] ^= 1
    pairs["t2"].write_bytes(voxels)
    told = run("predict", cases, "-o", out, "--continue", *fixed)[1]
    assert "A  done again: A_t2.hdr has changed" in told
