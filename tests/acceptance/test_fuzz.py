"""The fuzzing itself: it makes the same inputs again, and does not take a fault for a refusal."""

import json

import numpy as np
import pytest

from data_prep.scans import read_scan
from tests.acceptance.fuzz import nifti, streams
from tests.acceptance.fuzz.judging import CRASH, HANG, PASSED, REFUSED, UNFORESEEN, WRONG, judge
from tests.acceptance.fuzz.mutants import make_mutant
from tests.acceptance.fuzz.warden import Answer


@pytest.fixture
def bundle(tmp_path):
    for room in ("configs", "models"):
        (tmp_path / "bundle" / room).mkdir(parents=True)
        (tmp_path / "bundle" / room / "a.json").write_text('{"window": [1, 2], "name": "x"}')
    return tmp_path / "bundle"


def test_a_number_makes_the_same_input_again_and_another_number_another(bundle):
    first, again = ([make_mutant(7, n, bundle) for n in range(40)] for _ in range(2))
    assert [m.files for m in first] == [m.files for m in again]
    assert len({m.told for m in first}) > 30


def test_undamaged_cases_are_readable(tmp_path):
    for seed in range(6):
        volume = nifti.make_case(np.random.default_rng(seed))["t2"]
        (tmp_path / "t2.nii.gz").write_bytes(streams.compress(volume.bytes))
        np.testing.assert_array_equal(read_scan(tmp_path / "t2.nii.gz").values, volume.voxels)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(11, 0, fault=HANG), HANG),
        (Answer(1, 0, trace="Traceback ... KeyError"), CRASH),
        (Answer(1, 0, code=3, errors="ERROR case: cut - copy it [E101]\n"), REFUSED),
        (Answer(1, 0, code=3, errors="ERROR case: KeyError: 1 - see log [E604]"), UNFORESEEN),
        (Answer(1, 0, code=3), WRONG),
        (Answer(1, 0, code=3, errors="a.py:1: RuntimeWarning: overflow\n"), WRONG),
        (Answer(1, 0, code=0), WRONG),
        (Answer(1, 0, code=1, errors="ERROR case, report: no\n"), WRONG),
    ],
)  # fmt: skip
def test_each_answer_falls_into_its_class(tmp_path, answer, found):
    assert judge(answer, tmp_path, tmp_path)[0] == found


@pytest.mark.parametrize(("field", "found"), [(None, PASSED), ("srow_x", WRONG)])
def test_a_mask_elsewhere_than_its_scan_is_wrong(tmp_path, field, found):
    scan = nifti.make_case(np.random.default_rng(1))["t1"]
    scan.voxels = scan.voxels.astype("u1") * 0
    scan.set("datatype", 2)
    scan.set("bitpix", 8)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a_t1.nii.gz").write_bytes(streams.compress(scan.bytes))
    if field:
        scan.set(field, (2, 0, 0, 0))
    (tmp_path / "a_seg.nii.gz").write_bytes(streams.compress(scan.bytes))
    told = {"file": "a_t1.nii.gz", "shape": scan.voxels.shape}
    (tmp_path / "a.json").write_text(json.dumps({"verdict": PASSED, "sequences": {"t1": told}}))
    assert judge(Answer(1, 0, code=0), tmp_path, tmp_path / "in")[0] == found
