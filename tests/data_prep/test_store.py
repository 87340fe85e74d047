import hashlib

import blosc2
import numpy as np
import pytest

from data_prep.errors import DatasetError
from data_prep.scans.store import (
    as_smallest,
    read_array,
    read_metadata,
    stored_key,
    write_array,
)

METADATA = {"key": "abc", "affine": np.eye(4).tolist(), "names": ["t1", "flair"], "none": None}


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(-50, 900, (2, 70, 40, 33)).astype(np.int16)


@pytest.fixture
def stored(image, tmp_path):
    path = tmp_path / "case" / "image.b2nd"
    write_array(path, image, metadata=METADATA, tables={"locations": {"1": [[1, 2, 3]]}})
    return path


def test_voxels_and_metadata_come_back(stored, image):
    array, metadata = read_array(stored)
    assert array.dtype == image.dtype
    assert np.array_equal(array, image)
    assert {name: metadata[name] for name in METADATA} == METADATA
    assert read_metadata(stored, "locations") == {"1": [[1, 2, 3]]}
    assert stored_key(stored) == "abc"


@pytest.mark.parametrize("memory", ["C", "F"])
def test_the_same_array_gives_the_same_bytes(stored, image, tmp_path, memory):
    again = tmp_path / "again.b2nd"
    array = np.asarray(image, order=memory)
    write_array(again, array, metadata=METADATA, tables={"locations": {"1": [[1, 2, 3]]}})
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (stored, again)}
    assert len(digests) == 1


def test_a_write_that_fails_leaves_what_was_there(stored, image, monkeypatch):
    before = stored.read_bytes()
    monkeypatch.setattr("os.fsync", _no_space)
    with pytest.raises(OSError, match="no space"):
        write_array(stored, image + 1, metadata=METADATA)
    assert stored.read_bytes() == before
    assert [path.name for path in stored.parent.iterdir()] == ["image.b2nd"]


def _no_space(_):
    raise OSError("no space left on device")


@pytest.mark.parametrize("content", [b"", b"not an array" * 50])
def test_what_is_no_array_is_named_and_has_no_key(tmp_path, content):
    path = tmp_path / "image.b2nd"
    path.write_bytes(content)
    assert stored_key(path) is None
    with pytest.raises(DatasetError, match=r"image\.b2nd is no file of voxels"):
        read_array(path)


def test_a_truncated_array_has_no_key(stored):
    stored.write_bytes(stored.read_bytes()[:-100])
    assert stored_key(stored) is None


def test_a_strange_or_newer_array_is_refused(tmp_path):
    path = tmp_path / "image.b2nd"
    path.write_bytes(blosc2.asarray(np.arange(9)).to_cframe())
    assert stored_key(path) is None
    write_array(path, np.zeros((3, 3, 3)), metadata={"format": 99})
    with pytest.raises(DatasetError, match="format 99, expected 1"):
        read_array(path)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 4], np.uint8),
        ([-1, 4], np.int16),
        ([0, 40_000], np.uint16),
        ([-1, 40_000], np.int32),
        ([0, 2**40], np.float32),
        ([0.0, 255.0], np.uint8),
        ([0.5, 4.0], np.float32),
        ([], np.uint8),
    ],
)
@pytest.mark.parametrize("kind", [np.float64, None])
def test_whole_numbers_take_the_smallest_integers_that_hold_them(values, dtype, kind):
    array = np.array(values, dtype=kind)
    smallest = as_smallest(array)
    assert smallest.dtype == dtype
    assert np.array_equal(smallest, array)
