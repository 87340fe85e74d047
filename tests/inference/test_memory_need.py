"""What would take more memory than there may be is refused before it is taken."""

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DatasetError
from monai_kd import cli
from monai_kd.inference.budget import OWN_BYTES, USUAL_BYTES, check_need
from monai_kd.inference.requests.opened_case import open_case
from monai_kd.inference.requests.requests import find_requests
from monai_kd.inference.segmenting.preparation import prepare_image
from monai_kd.inference.segmenting.windows import BASE_BYTES, IMAGE_BYTES, LEAST_EDGE, count_voxels
from tests.damage.nifti_files import edit_header, edit_voxels

GIB = 2**30


class Runtime:
    """Of which only one thing is asked."""

    bytes_per_voxel = 100


@given(st.integers(0, 8 * GIB), st.integers(0, 8 * GIB))
def test_a_need_is_refused_just_where_it_and_the_process_exceed_what_may_be(needed, most):
    usual = needed <= USUAL_BYTES
    if usual or needed + OWN_BYTES <= most:
        check_need("it", needed, most)
    else:
        with pytest.raises(DatasetError, match="not enough memory: it would take"):
            check_need("it", needed, most)


def test_without_a_limit_any_need_is_met():
    check_need("it", 10**15, None)


@given(st.integers(4, 40), st.integers(0, 4 * GIB))
def test_an_image_beyond_one_window_leaves_room_for_itself(edge, most_bytes):
    shape = (16 * edge,) * 3
    voxels, left = count_voxels(Runtime, shape, most_bytes), max(0, most_bytes - BASE_BYTES)
    assert voxels * 100 <= left
    if voxels < (16 * edge) ** 3 and voxels > LEAST_EDGE**3:
        assert voxels * 100 + IMAGE_BYTES * (16 * edge) ** 3 <= left


def _case_that_claims(folder, side):
    """Headers alone: what has been read of them would be told as cut short."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((side,) * 3)
    header.set_data_dtype(np.int16)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    for name in ("t1", "t1ce", "t2", "flair"):
        (folder / f"case_{name}.nii").write_bytes(header.binaryblock + bytes(4))
    (request,) = find_requests([folder])
    return request


def test_scans_that_claim_too_much_are_refused_unread(student, tmp_path):
    request = _case_that_claims(tmp_path, side=400)
    with pytest.raises(DatasetError, match="not enough memory: reading its scans"):
        open_case(request, student, most_bytes=GIB)
    assert "ends early" in str(
        open_case(request, student, most_bytes=8 * GIB).inspection.findings[0]
    )


def test_a_grid_that_would_be_too_large_is_refused_before_it_is_filled(inspection, student):
    scans = {name: inspection.scans[name] for name in student.channels}
    fine = {"modalities": student.channels, "spacing_mm": (0.15,) * 3, "divisor": 4}
    with pytest.raises(DatasetError, match=r"not enough memory: its grid of .* voxels would"):
        prepare_image(scans, **fine, most_bytes=GIB)


@pytest.mark.parametrize(("spacing_mm", "times"), [(None, 0), ((1.7,) * 3, 1)])
def test_room_is_made_before_voxels_are_moved_and_only_then(inspection, student, spacing_mm, times):
    scans = {name: inspection.scans[name] for name in student.channels}
    asked = []
    prepare_image(
        scans,
        modalities=student.channels,
        spacing_mm=spacing_mm,
        divisor=4,
        make_room=lambda: asked.append(True),
    )
    assert len(asked) == times


def test_broken_values_make_one_line_and_no_warning(bundle, one, out, capfd, recwarn):
    scan = next(one.rglob("*_t2.nii.gz"))
    edit_voxels(scan, lambda voxels: voxels.astype("f4"))
    edit_header(scan, lambda header: header.__setitem__("scl_slope", 3e38))
    words = [str(one), "-o", str(out), "--bundle", str(bundle), "--no-report"]
    assert cli.main(["predict", *words]) == 3
    assert [line.split()[0] for line in capfd.readouterr().err.splitlines()] == ["ERROR"]
    assert not [warned for warned in recwarn if warned.category is RuntimeWarning]
