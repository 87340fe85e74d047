import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_prep import write_phantoms
from data_prep.case import ImageFile
from data_prep.checks.report import error_lines
from data_prep.errors import DatasetError
from data_prep.layouts import find_dataset
from data_prep.scans.crop import find_box
from data_prep.scans.grid import Grid
from data_prep.scans.store import read_array, read_metadata
from data_prep.voxels import VoxelSettings, read_voxels_json, voxelise
from data_prep.voxels.folder import hold
from tests.damage import corrupt
from tests.data_prep.back import from_grid

FILES = ("image.b2nd", "label.b2nd")


@pytest.fixture(scope="session")
def made(phantoms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("voxels") / "out"
    voxelise(find_dataset(phantoms), folder, workers=1)
    return folder


@pytest.fixture
def own_made(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "out"))


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def change_voxel(path, index, value):
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj).copy()
    voxels[index] = value
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine, image.header), path)


def middle_of(path):
    """An index well inside the brain, so that changing its voxel moves no border."""
    inside = np.argwhere(np.asarray(nibabel.load(path).dataobj) != 0)
    return tuple(inside[len(inside) // 2])


def grid_of_file(path):
    described = read_metadata(path)
    array, _ = read_array(path)
    return Grid(array.shape[-3:], np.array(described["affine"])), described["original"]


def test_the_integers_of_a_scan_are_all_there(phantoms, made):
    for case in find_dataset(phantoms).cases:
        path = made / case.name / "image.b2nd"
        array, described = read_array(path)
        grid, original = grid_of_file(path)
        for channel, name in enumerate(described["modalities"]):
            source = np.asarray(nibabel.load(case.images[name].path).dataobj)
            back = from_grid(array[channel], grid, tuple(original["shape"]), original["affine"])
            assert np.array_equal(back, source)


def test_labels_return_to_the_voxels_of_their_scan(phantoms, made):
    for case in find_dataset(phantoms).cases:
        path = made / case.name / "label.b2nd"
        array, described = read_array(path)
        grid, original = grid_of_file(path)
        back = from_grid(array, grid, tuple(original["shape"]), original["affine"])
        assert np.array_equal(back, np.asarray(nibabel.load(case.label).dataobj))
        assert described["outside"] == 0


def test_the_crop_is_the_brain_and_not_a_voxel_more(made):
    array, _ = read_array(next(made.glob("*/image.b2nd")))
    brain = (array != 0).any(axis=0)
    for axis in range(3):
        assert brain.take(0, axis).any()
        assert brain.take(-1, axis).any()


def test_where_nothing_is_zero_or_all_is_the_box_is_the_whole():
    whole = (slice(0, 3), slice(0, 4), slice(0, 5))
    assert find_box([np.zeros((3, 4, 5)), np.zeros((3, 4, 5))]) == whole
    assert find_box([np.ones((3, 4, 5)), np.zeros((3, 4, 5))]) == whole


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("turned", [1, -1])
def test_the_box_is_right_for_any_order_in_memory(axes, turned):
    volumes = np.zeros((2, 6, 7, 8))[:, ::turned].transpose(0, *(axis + 1 for axis in axes))
    volumes[0, 1, 4, 2] = volumes[1, 3, 2, 5] = 1
    assert find_box(volumes) == (slice(1, 4), slice(2, 5), slice(2, 6))


def test_a_second_run_waits_until_the_first_lets_go(tmp_path):
    nowait = fcntl.LOCK_EX | fcntl.LOCK_NB
    with hold(tmp_path / "out"):
        lock = (tmp_path / "out" / ".monai_kd-voxels").open()
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, nowait)
    with lock:
        fcntl.flock(lock, nowait)


def test_what_a_killed_run_has_left_is_swept(phantoms, own_made, made):
    (own_made / ".partial-list").mkdir()
    (next(own_made.glob("*/")) / ".partial-image").mkdir()
    voxelise(find_dataset(phantoms), own_made)
    assert digests(own_made) == digests(made)
    assert not list(own_made.rglob(".partial-*"))


def test_locations_are_voxels_of_their_value(made):
    path = next(made.glob("*/label.b2nd"))
    label, described = read_array(path)
    locations = read_metadata(path, "locations")
    assert locations.keys() == described["counts"].keys()
    for value, voxels in locations.items():
        assert len(voxels) == min(described["counts"][value], 1000)
        assert {label[tuple(voxel)] for voxel in voxels} == {int(value)}
        assert len({tuple(voxel) for voxel in voxels}) == len(voxels)


def test_image_and_label_describe_the_same_place(made):
    image, label = (read_metadata(next(made.glob(f"*/{name}"))) for name in FILES)
    shared = ("affine", "spacing_mm", "crop_offset", "grid_shape", "case")
    assert [image[key] for key in shared] == [label[key] for key in shared]
    assert image["resampled"] == []
    assert label["resampled"] is False


def test_workers_make_the_same_bytes_wherever_the_scans_lie(own_phantoms, made, tmp_path):
    voxelise(find_dataset(own_phantoms), tmp_path / "again", workers=2)
    assert digests(tmp_path / "again") == digests(made)


def test_a_second_run_touches_nothing(own_phantoms, own_made):
    for path in own_phantoms.rglob("*.nii.gz"):
        path.touch()
    before = {path: path.stat().st_mtime_ns for path in own_made.rglob("*")}
    report = voxelise(find_dataset(own_phantoms), own_made)
    assert report.written == ()
    assert {path: path.stat().st_mtime_ns for path in own_made.rglob("*")} == before


def test_one_voxel_of_a_label_rebuilds_that_label_only(own_phantoms, own_made):
    case = find_dataset(own_phantoms).cases[2]
    index = tuple(np.argwhere(np.asarray(nibabel.load(case.label).dataobj) == 0)[5000])
    change_voxel(case.label, index, 2)
    before = digests(own_made)
    report = voxelise(find_dataset(own_phantoms), own_made, workers=1)
    assert report.written == (f"{case.name}/label.b2nd",)
    assert changed(before, digests(own_made)) == {
        f"{case.name}/label.b2nd",
        f"{case.name}/case.json",
        "voxels.json",
    }


def changed(before, after):
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_one_voxel_of_an_image_rebuilds_that_image_only(own_phantoms, own_made):
    case = find_dataset(own_phantoms).cases[5]
    change_voxel(case.images["t2"].path, middle_of(case.images["t2"].path), 77)
    report = voxelise(find_dataset(own_phantoms), own_made, workers=1)
    assert report.written == (f"{case.name}/image.b2nd",)


def test_a_brain_that_grows_takes_the_label_with_it(own_phantoms, own_made):
    case = find_dataset(own_phantoms).cases[5]
    change_voxel(case.images["t2"].path, (0, 0, 0), 77)
    report = voxelise(find_dataset(own_phantoms), own_made, workers=1)
    assert report.written == tuple(f"{case.name}/{name}" for name in FILES)
    assert read_metadata(own_made / report.written[1])["crop_offset"][2] == 0


def test_other_percentiles_rebuild_images_only(phantoms, own_made):
    settings = VoxelSettings(percentiles=(1, 99))
    report = voxelise(find_dataset(phantoms), own_made, settings=settings, workers=1)
    assert len(report.written) == 8
    assert {Path(name).name for name in report.written} == {"image.b2nd"}


def test_another_spacing_rebuilds_all_and_back_again_is_as_before(phantoms, own_made, made):
    settings = VoxelSettings(spacing_mm=(2, 2, 2))
    report = voxelise(find_dataset(phantoms), own_made, settings=settings, workers=1)
    described = read_metadata(own_made / report.written[0])
    assert len(report.written) == 16
    assert described["spacing_mm"] == [2, 2, 2]
    assert described["resampled"] == ["t1ce", "t1", "t2", "flair"]
    voxelise(find_dataset(phantoms), own_made, workers=1)
    assert digests(own_made) == digests(made)


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"rot")])
@pytest.mark.parametrize("name", ["image.b2nd", "label.b2nd", "case.json", "voxels.json"])
def test_what_is_lost_or_spoilt_is_made_again(phantoms, own_made, made, name, damage):
    damage(next(iter(own_made.rglob(name))))
    voxelise(find_dataset(phantoms), own_made, workers=1)
    assert digests(own_made) == digests(made)


def test_a_case_that_fails_the_check_is_left_out_with_its_reason(own_phantoms, own_made):
    dataset = find_dataset(own_phantoms)
    case = dataset.cases[1]
    file = case.images["t1"].path
    file.write_bytes(file.read_bytes()[:3000])
    report = voxelise(dataset, own_made, workers=1)
    content = read_voxels_json(own_made)
    assert report.exit_code == 1
    assert "7 cases" in report.summary
    assert case.name not in {entry["name"] for entry in content["cases"]}
    assert list(content["left_out"]) == [case.name]
    assert file.name in content["left_out"][case.name][0]


def test_a_mistake_with_the_labels_costs_no_work_once_it_is_mended(phantoms, own_made, made):
    wrong = voxelise(find_dataset(phantoms, labels="msd"), own_made, workers=1)
    assert wrong.exit_code == 1
    right = voxelise(find_dataset(phantoms), own_made, workers=1)
    assert right.written == ()
    assert digests(own_made) == digests(made)


def test_a_flipped_bit_in_the_voxels_is_mended(phantoms, own_made, made):
    for name in ("image.b2nd", "label.b2nd"):
        path = next(iter(own_made.rglob(name)))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    assert len(voxelise(find_dataset(phantoms), own_made, workers=1).written) == 2
    assert digests(own_made) == digests(made)


def test_another_order_of_channels_rebuilds_the_image(tmp_path):
    source = write_phantoms(tmp_path / "msd", cases=1, size=32, layout="msd", workers=1)
    voxelise(find_dataset(source), tmp_path / "out", workers=1)
    swapped = find_dataset(source, order=["T1w", "FLAIR", "t1gd", "T2w"])
    report = voxelise(swapped, tmp_path / "out", workers=1)
    assert report.written == ("BRATS_001/image.b2nd",)


def test_a_folder_of_another_dataset_is_spared(phantoms, own_made, made, tmp_path):
    other = write_phantoms(tmp_path / "o", cases=1, size=32, layout="brats2023", workers=1)
    with pytest.raises(DatasetError, match="holds other cases, such as BraTS19_PHANTOM_001_1"):
        voxelise(find_dataset(other), own_made, workers=1)
    assert digests(own_made) == digests(made)


def test_nothing_of_a_persons_own_is_removed(own_phantoms, own_made):
    gone = find_dataset(own_phantoms).cases[0]
    (own_made / gone.name / "thesis.txt").touch()
    (own_made / "empty").mkdir()
    shutil.rmtree(gone.label.parent)
    voxelise(find_dataset(own_phantoms), own_made, workers=1)
    assert [path.name for path in (own_made / gone.name).iterdir()] == ["thesis.txt"]
    assert (own_made / "empty").is_dir()


def test_a_grid_beyond_all_memory_leaves_the_case_out(phantoms, tmp_path):
    settings = VoxelSettings(spacing_mm=(0.01, 0.01, 0.01))
    report = voxelise(find_dataset(phantoms), tmp_path / "out", settings=settings, workers=1)
    assert report.exit_code == 2
    assert "would have" in error_lines(report)[0]


def test_no_sound_case_is_told_by_the_exit_code(own_phantoms, tmp_path):
    for file in own_phantoms.rglob("*_flair.nii.gz"):
        file.write_bytes(b"")
    report = voxelise(find_dataset(own_phantoms), tmp_path / "out", workers=1)
    assert report.exit_code == 2
    assert read_voxels_json(tmp_path / "out")["cases"] == []


def test_a_case_that_has_gone_is_removed(own_phantoms, own_made):
    (own_made / "notes").mkdir()
    (own_made / "notes" / "thesis.txt").touch()
    gone = find_dataset(own_phantoms).cases[0]
    shutil.rmtree(gone.label.parent)
    report = voxelise(find_dataset(own_phantoms), own_made, workers=1)
    assert report.exit_code == 0
    assert not (own_made / gone.name).exists()
    assert len(read_voxels_json(own_made)["cases"]) == 7
    assert (own_made / "notes" / "thesis.txt").exists()


def test_a_case_without_a_label_has_no_stale_one(phantoms, own_made):
    dataset = find_dataset(phantoms)
    first = replace(dataset.cases[0], label=None)
    report = voxelise(replace(dataset, cases=(first,)), own_made, workers=1)
    assert report.cases == (first.name,)
    assert not (own_made / first.name / "label.b2nd").exists()
    assert read_voxels_json(own_made)["cases"][0]["label"] is None


def test_channels_of_one_file_are_like_files_of_their_own(phantoms, made, tmp_path):
    dataset = find_dataset(phantoms)
    case = dataset.cases[0]
    images = [nibabel.load(image.path) for image in case.images.values()]
    stacked = np.stack([np.asarray(image.dataobj) for image in images], axis=3)
    path = tmp_path / "scans" / "stacked.nii.gz"
    path.parent.mkdir()
    nibabel.save(nibabel.Nifti1Image(stacked, images[0].affine), path)
    channels = {name: ImageFile(path, index) for index, name in enumerate(case.images)}
    single = replace(dataset, root=path.parent, cases=(replace(case, images=channels, label=None),))
    voxelise(single, tmp_path / "out", workers=1)
    joint, _ = read_array(tmp_path / "out" / case.name / "image.b2nd")
    apart, _ = read_array(made / case.name / "image.b2nd")
    assert np.array_equal(joint, apart)


def test_the_list_says_nothing_of_where_it_was_made(phantoms, made):
    text = (made / "voxels.json").read_text()
    content = json.loads(text)
    assert str(phantoms.parent) not in text
    assert content["scheme"] == "brats2021"
    assert content["regions"]["ET"] == [4]
    assert content["origin"] == "phantoms"
    assert [entry["grade"] for entry in content["cases"]].count("LGG") == 2
    for entry in content["cases"]:
        for name, digest in entry["sha256"].items():
            assert hashlib.sha256((made / name).read_bytes()).hexdigest() == digest


def test_a_folder_of_something_else_is_refused(phantoms, tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DatasetError, match="not empty and holds no voxels"):
        voxelise(find_dataset(phantoms), tmp_path)
    with pytest.raises(DatasetError, match="is a file"):
        voxelise(find_dataset(phantoms), tmp_path / "thesis.txt")


def test_a_folder_without_a_readable_list_is_no_folder_of_voxels(own_made):
    (own_made / "voxels.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(DatasetError, match="format 99"):
        read_voxels_json(own_made)
    (own_made / "voxels.json").unlink()
    with pytest.raises(DatasetError, match="voxelise first"):
        read_voxels_json(own_made)


@pytest.mark.parametrize("wrong", [{"spacing_mm": (1, 0, 1)}, {"percentiles": (99, 1)}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(DatasetError, match="expected a spacing above 0"):
        VoxelSettings(**wrong)


# Imports once, then voxelises in a child process for each folder that it is told.
WORKSHOP = """
import os, sys
from pathlib import Path
from data_prep.layouts import find_dataset
from tests.damage import corrupt
from data_prep.voxels import voxelise
dataset = find_dataset(Path(sys.argv[1]))
for line in sys.stdin:
    child = os.fork()
    if not child:
        voxelise(dataset, line.strip(), workers=1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def workshop(phantoms):
    command = [sys.executable, "-c", WORKSHOP, str(phantoms)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, **pipes) as process:
        yield process


def run_for(workshop, folder, seconds):
    """Voxelise in `folder`, kill -9 after `seconds`; return the exit code and how long it took."""
    workshop.stdin.write(f"{folder}\n")
    child, began = int(workshop.stdout.readline()), time.monotonic()
    if seconds is not None:
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):  # a quick one was done before
            os.kill(child, signal.SIGKILL)
    return int(workshop.stdout.readline()), time.monotonic() - began


@pytest.mark.run
def test_a_run_killed_at_ten_moments_is_completed_to_the_same_bytes(
    phantoms, made, workshop, tmp_path
):
    dataset, stale = find_dataset(phantoms), tmp_path / "stale"
    settings = VoxelSettings(spacing_mm=(1, 1, 1.2))
    voxelise(dataset, stale, settings=settings, workers=1)
    _, length = run_for(workshop, shutil.copytree(stale, tmp_path / "whole"), None)
    assert digests(tmp_path / "whole") == digests(made)
    moments, killed, reused = np.random.default_rng(0), 0, 0
    for number in range(10):
        folder = shutil.copytree(stale, tmp_path / f"killed-{number}")
        code, _ = run_for(workshop, folder, moments.uniform(0.05, 0.9) * length)
        killed += code == -signal.SIGKILL
        assert not (folder / "voxels.json").exists() or is_as_listed(folder)
        reused += 16 - len(voxelise(dataset, folder, workers=1).written)
        assert digests(folder) == digests(made)
    assert killed >= 5
    assert reused > 16


def is_as_listed(folder):
    listed = [
        item for entry in read_voxels_json(folder)["cases"] for item in entry["sha256"].items()
    ]
    return all(
        hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        for name, digest in listed
    )


def test_a_scan_under_two_names_is_left_out_once_lest_it_leak_into_the_test(own_phantoms, tmp_path):
    corrupt(own_phantoms, "BraTS19_PHANTOM_001_1", "duplicate-case")
    for _ in range(2):  # built, and found again
        report = voxelise(find_dataset(own_phantoms), tmp_path / "voxels", workers=1)
        assert report.exit_code == 1
        assert len(report.cases) == 8
    listed = read_voxels_json(tmp_path / "voxels")
    ((name, (finding,)),) = listed["left_out"].items()
    assert "the same bytes as in case BraTS19_PHANTOM_001_1" in finding
    assert name not in {case["name"] for case in listed["cases"]}


def test_labels_that_nobody_explains_make_nothing_usable(phantoms, tmp_path):
    unexplained = replace(find_dataset(phantoms), scheme=None)
    report = voxelise(unexplained, tmp_path / "voxels", workers=1)
    assert report.exit_code == 2
    assert report.cases == ()
    assert "labels hold 0, 1, 2, 4, and nothing says what they are" in error_lines(report)[0]
