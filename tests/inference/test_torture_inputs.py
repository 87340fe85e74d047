"""Every way to spoil a case, all in one batch, through the command in a process of its own."""

import numpy as np
import pytest

from data_prep import write_phantoms
from tests.damage import CORRUPTIONS, ODDITIES, corrupt
from tests.damage.command import copy_case, find_broken, predict

SOUND = "sound"
LEFT_OUT = {  # with an error of this code
    "E101": "truncated-gzip truncated-volume truncated-header",
    "E102": "zero-bytes",
    "E103": "bit-rot checksum",
    "E104": "named-pipe",
    "E105": "link-loop dead-link",
    "E106": "web-page analyze",
    "E107": "dicom",
    "E108": "zero-length unknown-type",
    "E109": "absurd-size gzip-bomb",
    "E110": "hidden-bomb",
    "E201": "single-slice two-volumes",
    "E202": "nan-affine singular-affine",
    "E203": "no-voxel-size",
    "E206": "sides-swapped",
    "E210": "micrometres",
    "E211": "tiny-crop",
    "E212": "other-shape",
    "E213": "shifted far-away",
    "E301": "nan",
    "E302": "infinite",
    "E303": "all-zero",
    "E304": "constant",
    "E305": "same-modality",
    "E306": "complex",
    "E307": "colour",
    "E308": "nan-slope infinite-slope",
    "E311": "mask-as-image",
    "E501": "folder missing-modality misspelt label-alone",
    "E502": "given-twice",
}
TO_CHECK = {  # segmented, and the first reason has this code
    "W204": "no-orientation",
    "W205": "sheared",
    "W207": "forms-differ",
    "W209": "thick-slices",
    "W214": "own-spacing",
    "W309": "swapped",
    "W312": "skull-on",
}
SAME_MASK = (  # labels are not read, and these oddities are none
    "not-compressed negative-pixdim outlier stray-value et-as-3 cavity float-label smoothed-label "
    "negative-label empty-label shifted-label cut-label label-outside image-as-label no-label "
    "rounded-affine other-flip sagittal big-endian nifti-2 uncompressed many-members whole-floats "
    "fourth-side-of-1 byte-label odd-name"
)
ALONE = {"colliding-names": 2, "duplicate-case": 1}  # what they do to a folder, by --strict code
NAMELESS = ("folder", "missing-modality", "misspelt")  # there is no file to name
EXPECTED = {way: code for code, ways in (LEFT_OUT | TO_CHECK).items() for way in ways.split()}
BATCH = [way for way in (*CORRUPTIONS, *ODDITIES) if way not in ALONE]
REFUSED = [way for way in BATCH if EXPECTED.get(way, "").startswith("E")]
SEGMENTED = [way for way in BATCH if way not in REFUSED]
RENAMED = {"odd-name": "Fälle 2019, Müller & Söhne <1>"}
MOST_MIB = 500  # less than the gzip bomb would take


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    made = tmp_path_factory.mktemp("made") / "phantoms"
    return next(write_phantoms(made, cases=1, size=36, workers=1).glob("*/*"))


@pytest.fixture(scope="module")
def batch(phantom, bundle, tmp_path_factory):
    root = tmp_path_factory.mktemp("batch")
    for way in (SOUND, *BATCH):
        copy_case(phantom, root / "cases" / "HGG" / way)
    for way in BATCH:
        corrupt(root / "cases", way, way)
    return predict(root / "cases", root / "out", bundle)


def test_each_way_has_an_expectation_and_one_only():
    listed = [*EXPECTED, *SAME_MASK.split(), *ALONE]
    assert sorted(listed) == sorted({*CORRUPTIONS, *ODDITIES})
    assert len(CORRUPTIONS) >= 40


def test_a_batch_of_bad_cases_fails_in_part_and_leaves_scans_and_memory_alone(batch):
    assert batch.code == 1
    assert batch.untouched
    assert max(_peak_mib(batch, way) for way in SEGMENTED) < MOST_MIB
    assert len(batch.faults) == len(REFUSED)


def _name(way):
    return RENAMED.get(way, way)


def _peak_mib(batch, way):
    return batch.record(_name(way))["provenance"]["peak_memory_mib"]


@pytest.mark.parametrize("way", REFUSED)
def test_a_refused_case_is_one_line_with_file_and_mend_and_leaves_no_mask(batch, way):
    line, *more = [line for line in batch.faults if line.startswith(f"ERROR {way}: ")]
    (reason, *_) = batch.record(_name(way))["reasons"]
    assert not more
    assert f"[{EXPECTED[way]}]" in line
    assert (f"{way}_" in line) != (way in NAMELESS)
    assert (batch.record(_name(way))["verdict"], reason["code"]) == ("REFUSE", EXPECTED[way])
    assert " - " in reason["text"]
    assert not list(batch.out.glob(f"{way}[._]*"))


@pytest.mark.parametrize("way", SEGMENTED)
def test_a_segmented_case_is_to_be_checked_for_its_fault_or_has_the_sound_mask(batch, way):
    record, mask, sound = batch.record(_name(way)), batch.mask(_name(way)), batch.mask(SOUND)
    if way in EXPECTED:
        assert (record["verdict"], record["reasons"][0]["code"]) == ("CHECK", EXPECTED[way])
        assert mask.any()
    else:
        assert record["verdict"] == "PASS"
        assert _dice(mask, sound) >= 0.97


def _dice(one, other):
    return 2 * np.sum((one == other) & (one > 0)) / (np.sum(one > 0) + np.sum(other > 0))


def test_nothing_but_whole_results_lies_in_the_folder(batch):
    names = [_name(way) for way in (SOUND, *SEGMENTED)]
    expected = {f"{name}{ending}" for name in names for ending in (".json", "_seg.nii.gz")}
    expected |= {"summary.csv", "index.html", "predict.log", "left_out"}
    assert {path.name for path in batch.out.iterdir()} == expected
    assert not find_broken(batch.out)
    assert {path.stem for path in (batch.out / "left_out").iterdir()} == {*REFUSED}


@pytest.mark.parametrize("way", ALONE)
def test_what_names_alone_spoil_is_told_before_or_with_the_result(phantom, bundle, tmp_path, way):
    for name in (SOUND, way):
        copy_case(phantom, tmp_path / "cases" / "HGG" / name)
    (tmp_path / "cases" / "LGG").mkdir()
    corrupt(tmp_path / "cases", way, way)
    outcome = predict(tmp_path / "cases", tmp_path / "out", bundle, "--strict")
    assert (outcome.code, outcome.untouched) == (ALONE[way], True)
    told = outcome.faults if outcome.code == 2 else outcome.told
    assert sum("two cases are called" in line or "[E601]" in line for line in told) == 1
    assert outcome.out.exists() == (outcome.code != 2)
