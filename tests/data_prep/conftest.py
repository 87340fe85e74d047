"""A small set of phantoms that the tests of this room share; they copy it before they change it."""

import shutil
from pathlib import Path

import pytest

from data_prep import write_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("made") / "phantoms", cases=8, size=32, workers=1)


@pytest.fixture
def own_phantoms(phantoms, tmp_path) -> Path:
    return Path(shutil.copytree(phantoms, tmp_path / "phantoms"))
