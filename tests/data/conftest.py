"""Phantoms as training meets them: voxelised, and listed."""

import json

import pytest

from data_prep import voxelise_cases, write_datalist, write_phantoms


@pytest.fixture(scope="session")
def voxels_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    cases = write_phantoms(folder / "phantoms", cases=8, size=(40, 36, 32), workers=1)
    return voxelise_cases(cases, voxels_root=folder, workers=1)


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
