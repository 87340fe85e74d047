import gzip
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.rules import Rule
from data_prep.scans import ScanError, count_bytes, nifti, read_scan

VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
AFFINE = np.diag([-1.0, 2, 3, 1])


def _bytes(voxels=VOXELS, image_class=nibabel.Nifti1Image):
    return image_class(voxels, AFFINE).to_bytes()


def _read(content, tmp_path, name="scan.nii.gz"):
    (tmp_path / name).write_bytes(content)
    return read_scan(tmp_path / name)


def _rule_of(content, tmp_path):
    with pytest.raises(ScanError) as caught:
        _read(content, tmp_path)
    return caught.value.rule


@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_voxels_affine_and_hash_are_those_of_the_file(tmp_path, image_class, pack):
    content = pack(_bytes(image_class=image_class))
    scan = _read(content, tmp_path)
    np.testing.assert_array_equal(scan.values, VOXELS)
    np.testing.assert_array_equal(scan.affine, AFFINE)
    assert scan.sha256 == hashlib.sha256(content).hexdigest()
    assert scan.plain_as_gzip == (pack is bytes)


def test_a_scale_in_the_header_is_applied(tmp_path):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.header.set_slope_inter(0.5, 3)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([0.5, 3], "<f4").tobytes()
    np.testing.assert_array_equal(_read(bytes(content), tmp_path).values, VOXELS * 0.5 + 3)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_far_larger_than_its_claim_is_refused_unread(tmp_path, monkeypatch, pack):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(pack(_bytes()))
    os.truncate(path, 2**27)
    monkeypatch.delattr(Path, "read_bytes")
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    assert caught.value.rule is Rule.TRAILING_BYTES


def test_bytes_are_counted_by_the_header_and_are_none_where_it_is_broken(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(_bytes()[:400]))
    assert count_bytes(path) == VOXELS.nbytes
    scaled = bytearray(_bytes())
    scaled[112:116] = np.array(0.5, "<f4").tobytes()
    path.write_bytes(scaled)
    assert count_bytes(path) == VOXELS.nbytes + 4 * VOXELS.size
    path.write_bytes(b"\x1f\x8bjunk")
    assert count_bytes(path) == count_bytes(tmp_path) == count_bytes(tmp_path / "none") == 0


def test_one_channel_of_4d_keeps_header_and_hash(tmp_path):
    scan = _read(_bytes(np.stack([VOXELS, VOXELS + 1], axis=-1)), tmp_path)
    channel = scan.take_channel(1)
    np.testing.assert_array_equal(channel.values, VOXELS + 1)
    assert channel.sha256 == scan.sha256


def test_a_gzip_of_many_members_is_one_file(tmp_path):
    content = _bytes()
    members = gzip.compress(content[:100]) + gzip.compress(content[100:])
    np.testing.assert_array_equal(_read(members, tmp_path).values, VOXELS)


def test_no_flipped_bit_of_a_compressed_file_changes_a_voxel_untold(tmp_path):
    content = gzip.compress(_bytes(), mtime=0)
    told = 0
    for place in range(10, len(content)):
        rotten = bytearray(content)
        rotten[place] ^= 4
        try:
            np.testing.assert_array_equal(_read(rotten, tmp_path).values, VOXELS)
        except ScanError:
            told += 1
    assert told > 0.9 * len(content)  # the rest are bits of padding


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_cut_anywhere_is_told(tmp_path, pack):
    content = pack(_bytes())
    for length in (1, 100, len(content) // 2, len(content) - 1):
        assert _rule_of(content[:length], tmp_path).severity == "error"
    assert _rule_of(content[: len(content) // 2], tmp_path) in (Rule.TRUNCATED, Rule.BIT_ROT)


@pytest.mark.parametrize("junk", [b"j" * 10, b"junk" * 500])
def test_what_follows_the_compressed_data_is_told(tmp_path, junk):
    assert _rule_of(gzip.compress(_bytes()) + junk, tmp_path) is Rule.TRAILING_BYTES


def test_zeros_behind_and_between_the_members_of_a_file_are_padding(tmp_path):
    content = _bytes()
    halves = [gzip.compress(part) for part in (content[:1000], content[1000:])]
    padded = b"\0".join(halves) + b"\0" * 512
    np.testing.assert_array_equal(_read(padded, tmp_path).values, VOXELS)


def test_a_missing_checksum_is_told(tmp_path):
    with pytest.raises(ScanError, match="before its checksum"):
        _read(gzip.compress(_bytes())[:-8], tmp_path)


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(nifti, "BOMB_BYTES", 2**16)
    bomb = gzip.compress(_bytes(np.zeros((64, 64, 64), np.int16)))
    with pytest.raises(ScanError, match=r"\d+ bytes claim to be 524640"):
        _read(bomb, tmp_path)


def test_a_first_voxel_far_away_is_refused(tmp_path):
    content = bytearray(_bytes())
    content[108:112] = np.array(1e30, "<f4").tobytes()
    assert _rule_of(bytes(content), tmp_path) is Rule.BAD_HEADER


def test_a_header_of_a_voxel_file_apart_is_refused(tmp_path):
    content = _bytes().replace(b"n+1\0", b"ni1\0", 1)
    with pytest.raises(ScanError, match="in another file"):
        _read(content, tmp_path)


def test_a_negative_voxel_size_does_not_break_a_qform(tmp_path):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(None, code=0)
    image.set_qform(AFFINE, code=1)
    content = bytearray(image.to_bytes())
    content[80:84] = np.array(-1, "<f4").tobytes()
    np.testing.assert_allclose(_read(bytes(content), tmp_path).affine, AFFINE, atol=1e-6)


def test_a_quaternion_that_is_none_gives_no_affine(tmp_path):
    image = nibabel.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(None, code=0)
    image.set_qform(AFFINE, code=1)
    content = bytearray(image.to_bytes())
    content[256:268] = np.array([2, 2, 2], "<f4").tobytes()
    assert np.isnan(_read(bytes(content), tmp_path).affine).all()


@given(place=st.integers(0, 347), value=st.binary(min_size=1, max_size=8))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_any_header_is_read_or_refused(tmp_path_factory, place, value):
    content = bytearray(_bytes())
    content[place : place + len(value)] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed.nii"
    path.write_bytes(bytes(content))
    with suppress(ScanError):
        assert read_scan(path).affine.shape == (4, 4)


def test_a_file_beyond_all_memory_is_refused_unread(tmp_path):
    with (tmp_path / "huge.nii").open("wb") as file:
        file.truncate(9 * 2**30)  # a hole, which takes no space
    with pytest.raises(ScanError, match="a file of 9663676416 bytes"):
        read_scan(tmp_path / "huge.nii")
