import gzip
import hashlib

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1PairHeader
from nibabel.nifti2 import Nifti2Pair

from data_prep.layouts import find_dataset
from data_prep.rules import Rule
from data_prep.scans import ScanError, count_bytes, files_of, nifti, read_scan

VOXELS = np.arange(4 * 5 * 6, dtype=">i2").reshape(4, 5, 6)
AFFINE = np.diag([-1.0, 2, 3, 1])


@pytest.fixture
def save(tmp_path):
    def save(name="scan.img", image_class=nibabel.Nifti1Pair, header=None):
        image = image_class(VOXELS, AFFINE, header)
        nibabel.save(image, tmp_path / name)
        return tmp_path

    return save


def _rule_of(path):
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    return caught.value.rule


@pytest.mark.parametrize("name", ["scan.img", "scan.img.gz"])
@pytest.mark.parametrize("image_class", [nibabel.Nifti1Pair, Nifti2Pair])
def test_both_halves_stand_for_the_same_scan(save, name, image_class):
    image = save(name, image_class) / name
    header = image.with_name(name.replace("img", "hdr"))
    from_image, from_header = read_scan(image), read_scan(header)
    np.testing.assert_array_equal(from_image.values, VOXELS)
    np.testing.assert_array_equal(from_header.affine, AFFINE)
    content = header.read_bytes() + image.read_bytes()
    assert from_image.sha256 == from_header.sha256 == hashlib.sha256(content).hexdigest()


def test_big_endian_pairs_with_voxels_further_on_are_read(save):
    header = Nifti1PairHeader(endianness=">")
    header.set_data_dtype(np.int16)
    folder = save(header=header)
    header = bytearray((folder / "scan.hdr").read_bytes())
    header[108:112] = np.array(16, ">f4").tobytes()
    (folder / "scan.hdr").write_bytes(header)
    (folder / "scan.img").write_bytes(b"in front of them" + VOXELS.tobytes(order="F"))
    np.testing.assert_array_equal(read_scan(folder / "scan.hdr").values, VOXELS)


def test_either_half_may_be_packed_alone(save):
    folder = save()
    packed = gzip.compress((folder / "scan.img").read_bytes())
    (folder / "scan.img").unlink()
    (folder / "scan.img.gz").write_bytes(packed)
    assert files_of(folder / "scan.hdr")[1].name == "scan.img.gz"
    np.testing.assert_array_equal(read_scan(folder / "scan.hdr").values, VOXELS)


def test_voxels_that_begin_like_gzip_are_voxels(save):
    folder = save()
    content = b"\x1f\x8b" + (folder / "scan.img").read_bytes()[2:]
    (folder / "scan.img").write_bytes(content)
    assert read_scan(folder / "scan.hdr").voxels.tobytes(order="F") == content


@pytest.mark.parametrize(("lost", "kept"), [("scan.hdr", "scan.img"), ("scan.img", "scan.hdr")])
def test_a_lost_half_is_named(save, lost, kept):
    folder = save()
    (folder / lost).unlink()
    with pytest.raises(ScanError, match=f"other half {lost} is absent"):
        read_scan(folder / kept)


@pytest.mark.parametrize("name", ["scan.img", "scan.img.gz"])
def test_voxels_that_end_early_are_refused(save, name):
    image = save(name) / name
    image.write_bytes(image.read_bytes()[:-20])
    assert _rule_of(image) is Rule.TRUNCATED


def test_one_flipped_bit_of_packed_voxels_is_found(save):
    image = save("scan.img.gz") / "scan.img.gz"
    content = bytearray(image.read_bytes())
    content[-6] ^= 1  # of the checksum
    image.write_bytes(content)
    assert _rule_of(image) is Rule.BIT_ROT


def test_analyze_is_refused_for_it_has_no_orientation(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(VOXELS.astype(np.int16), AFFINE), tmp_path / "scan.img")
    with pytest.raises(ScanError, match="does not store left and right"):
        read_scan(tmp_path / "scan.img")


def test_a_whole_scan_named_as_a_header_is_refused(save):
    folder = save()
    (folder / "scan.hdr").write_bytes(nibabel.Nifti1Image(VOXELS, AFFINE).to_bytes())
    with pytest.raises(ScanError, match="a whole scan named as the header of a pair"):
        read_scan(folder / "scan.hdr")


def test_layouts_take_a_pair_for_one_file(save, tmp_path):
    case = tmp_path / "BraTS19_A_1"
    for name in ("t1", "t1ce", "t2", "flair"):
        case.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Pair(VOXELS, AFFINE), case / f"{case.name}_{name}.img")
    (found,) = find_dataset(tmp_path).cases
    assert {name: image.path.name for name, image in found.images.items()} == {
        name: f"{case.name}_{name}.hdr" for name in ("t1", "t1ce", "t2", "flair")
    }


@pytest.mark.parametrize("name", ["scan.img", "scan.img.gz"])
def test_a_large_pair_is_read_and_one_that_is_larger_than_it_claims_is_not(save, name, monkeypatch):
    monkeypatch.setattr(nifti, "MAX_OFFSET", 120)
    image = save(name) / name
    np.testing.assert_array_equal(read_scan(image).values, VOXELS)
    assert count_bytes(image) == VOXELS.nbytes
    (image.parent / "scan.img").write_bytes(bytes(VOXELS.nbytes + 121))
    (image.parent / "scan.img.gz").unlink(missing_ok=True)
    assert _rule_of(image.parent / "scan.img") is Rule.TRAILING_BYTES
