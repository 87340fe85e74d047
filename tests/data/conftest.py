"""Phantoms as training meets them: voxelised, and listed."""

import json

import pytest

from data_prep import voxelise_cases, write_datalist, write_phantoms


@pytest.fixture(scope="session")
def phantoms_of_this_room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans") / "phantoms"
    return write_phantoms(folder, cases=8, size=(40, 36, 32), workers=1)


@pytest.fixture(scope="session")
def voxels_dir(phantoms_of_this_room):
    folder = phantoms_of_this_room.parent
    return voxelise_cases(phantoms_of_this_room, voxels_root=folder, workers=1)


@pytest.fixture(scope="session")
def dataset_file(voxels_dir):
    return write_datalist(voxels_dir, output_file=voxels_dir.parent / "run" / "dataset.json")


@pytest.fixture
def record(dataset_file):
    """Paths of the first training case."""
    first = json.loads(dataset_file.read_text())["training"][0]
    return {
        key: str(dataset_file.parent / first[key]) for key in ("image", "label")
    }  # as read_datalist gives them
