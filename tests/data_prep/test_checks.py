import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import write_phantoms
from data_prep.brats.labels import BRATS2021, BRATS2023, SCHEMES
from data_prep.case import Case, Dataset, ImageFile
from data_prep.checks import check_dataset, inspect_case
from data_prep.checks import dataset as dataset_module
from data_prep.checks.dataset import CheckReport
from data_prep.checks.geometry import is_degenerate
from data_prep.checks.intensities import FEWEST_VALUES, SAMPLE, intensity_faults, take_sample
from data_prep.checks.labels import count_values, label_faults
from data_prep.checks.report import error_lines, write_html, write_json_report, write_summary
from data_prep.findings import Finding
from data_prep.layouts import find_dataset
from data_prep.rules import Rule
from data_prep.scans import read_scan
from tests.damage import corrupt

HIPPOCAMPUS = Path(__file__).parents[3] / "shared" / "data" / "Task04_Hippocampus"
FIRST = "BraTS19_PHANTOM_001_1"


@pytest.fixture(scope="module")
def dataset(phantoms):
    return find_dataset(phantoms)


def _codes(report):
    return [finding.rule.code for finding in report.findings]


def test_clean_phantoms_give_no_finding(phantoms, dataset):
    report = check_dataset(dataset, workers=1)
    assert (report.findings, report.exit_code) == ((), 0)
    assert report.usable_cases == dataset.cases
    assert set(report.hashes) == set(phantoms.rglob("*.nii.gz"))


def test_an_anisotropic_phantom_of_another_seed_is_clean(tmp_path):
    folder = write_phantoms(tmp_path / "made", cases=2, size=(48, 60, 52), seed=5, workers=1)
    assert check_dataset(find_dataset(folder), workers=1).findings == ()


def test_workers_find_what_one_process_finds(own_phantoms, monkeypatch):
    corrupt(own_phantoms, FIRST, "nan")
    corrupt(own_phantoms, "BraTS19_PHANTOM_003_1", "stray-value")
    one = check_dataset(find_dataset(own_phantoms), workers=1)
    monkeypatch.setattr(dataset_module, "SMALL_BYTES", 0)
    two = check_dataset(find_dataset(own_phantoms), workers=2)
    assert two == one
    assert _codes(one) == ["E301", "E401"]


def test_an_inspection_holds_3d_scans_with_their_hashes(dataset):
    case = dataset.cases[0]
    inspection = inspect_case(case, dataset=dataset)
    assert inspection.usable
    assert list(inspection.scans) == list(dataset.modalities)
    assert all(scan.voxels.shape == (32, 32, 32) for scan in inspection.scans.values())
    assert set(inspection.hashes) == set(case.files)
    assert inspection.label_counts == count_values(inspection.label.values)


def test_a_spoilt_image_is_left_out_of_the_inspection(own_phantoms):
    corrupt(own_phantoms, FIRST, "bit-rot")
    found = find_dataset(own_phantoms)
    inspection = inspect_case(found.cases[0], dataset=found)
    assert not inspection.usable
    assert list(inspection.scans) == ["t1ce", "t1", "flair"]


def test_a_4d_file_is_read_once_and_its_channels_are_checked(dataset, tmp_path):
    case = dataset.cases[0]
    scans = [read_scan(image.path) for image in case.images.values()]
    stacked = np.stack([scan.voxels for scan in scans], axis=-1)
    stacked[..., 2] = 0
    nibabel.Nifti1Image(stacked, scans[0].affine).to_filename(tmp_path / "all.nii")
    images = {m: ImageFile(tmp_path / "all.nii", i) for i, m in enumerate(case.images)}
    whole = replace(dataset, root=tmp_path)
    inspection = inspect_case(replace(case, images=images, label=None), dataset=whole)
    assert [f.detail for f in inspection.findings] == ["t2: all 32768 voxels are 0"]
    assert list(inspection.scans) == ["t1ce", "t1", "flair"]


def test_what_is_wrong_with_a_4d_file_as_a_whole_is_told_once(dataset, tmp_path):
    case = dataset.cases[0]
    voxels = [read_scan(image.path).voxels for image in case.images.values()]
    image = nibabel.Nifti1Image(np.stack(voxels, axis=-1), np.diag([1.0, 1, 5, 1]))
    image.to_filename(tmp_path / "all.nii")
    images = {m: ImageFile(tmp_path / "all.nii", i) for i, m in enumerate(case.images)}
    whole = replace(dataset, root=tmp_path)
    inspection = inspect_case(replace(case, images=images, label=None), dataset=whole)
    assert [f.detail for f in inspection.findings] == ["voxels of 1 x 1 x 5 mm"]


@pytest.mark.parametrize("shift", [None, "far-away"])
def test_another_spacing_is_forgiven_only_where_the_scans_overlap(own_phantoms, shift):
    for way in filter(None, ("own-spacing", shift)):
        corrupt(own_phantoms, FIRST, way)
    (finding,) = check_dataset(find_dataset(own_phantoms), workers=1).findings
    assert finding.rule is (Rule.GRIDS_DIFFER if shift else Rule.OWN_SPACING)


def test_one_scan_given_twice_is_told_however_it_is_stored(own_phantoms):
    for way in ("same-modality", "sagittal"):
        corrupt(own_phantoms, FIRST, way)
    assert _codes(check_dataset(find_dataset(own_phantoms), workers=1)) == ["E305"]


def test_two_axes_of_one_direction_span_no_volume():
    parallel = np.diag([1.0, 1, 1, 1])
    parallel[:, 1] = parallel[:, 0]
    assert is_degenerate(parallel)
    assert not is_degenerate(np.diag([1e-3, 1, 1e3, 1]))


def test_a_channel_that_is_not_there_is_told(dataset):
    case = dataset.cases[0]
    images = {"t1": ImageFile(case.images["t1"].path, 1)}
    inspection = inspect_case(replace(case, images=images), dataset=dataset)
    assert [f.rule for f in inspection.findings] == [Rule.NOT_3D]


@given(place=st.integers(0, 347), value=st.binary(min_size=1, max_size=8))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_no_header_breaks_the_check(dataset, tmp_path_factory, place, value):
    root = tmp_path_factory.getbasetemp()
    scan = read_scan(dataset.cases[0].images["t2"].path)
    content = bytearray(scan.header.binaryblock + bytes(4) + scan.voxels.tobytes(order="F"))
    content[place : place + len(value)] = value
    (root / "fuzzed.nii").write_bytes(content)
    images = {"t1": ImageFile(root / "fuzzed.nii"), "t2": ImageFile(root / "fuzzed.nii")}
    with np.errstate(all="ignore"):
        case = Case("fuzzed", "fuzzed", "HGG", images, root / "fuzzed.nii")
        inspection = inspect_case(case, dataset=replace(dataset, root=root))
    assert not inspection.usable


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_a_label_of_its_own_scheme_has_no_fault(scheme):
    counts = dict.fromkeys(map(float, scheme.labels), 10)
    assert list(label_faults(counts, scheme=scheme, dtype=np.dtype("u1"))) == []


def test_a_cavity_where_2023_is_declared_offers_2024():
    counts = {1.0: 5, 3.0: 6, 4.0: 7}
    ((rule, detail),) = label_faults(counts, scheme=BRATS2023, dtype=np.dtype("u1"))
    assert rule is Rule.OTHER_SCHEME
    assert "value 4 in 7 voxels" in detail
    assert "brats2024" in detail


def test_stray_values_are_listed_up_to_three():
    counts = {float(value): value for value in (5, 6, 7, 8)}
    ((rule, detail),) = label_faults(counts, scheme=BRATS2021, dtype=np.dtype("u1"))
    assert rule is Rule.STRAY_VALUE
    assert "value 7 in 7 voxels, 1 values more" in detail


def test_a_label_of_nan_is_fractional():
    counts = count_values(np.array([0, np.nan, np.nan, 1]))
    ((rule, detail),) = label_faults(counts, scheme=BRATS2021, dtype=np.dtype("f4"))
    assert rule is Rule.FRACTIONAL
    assert "value nan in 2 voxels" in detail


def test_a_sample_is_spread_over_the_volume():
    values = np.arange(4 * SAMPLE)
    sample = take_sample(values)
    assert SAMPLE / 2 < len(sample) <= SAMPLE
    assert sample[-1] > values[-10]


@pytest.mark.parametrize("shape", [(240, 240, 155), (64, 64, 64), (400, 400, 24)])
def test_a_sample_is_of_the_size_meant_and_reaches_every_slab_or_its_neighbour(shape):
    for axis, side in enumerate(shape):
        slabs = np.arange(side).reshape([side if i == axis else 1 for i in range(3)])
        sample = take_sample(np.broadcast_to(slabs, shape))
        assert min(SAMPLE, np.prod(shape)) / 2 < sample.size < 2 * SAMPLE
        assert np.diff(np.unique(sample)).max() <= 4
        assert side - sample.max() <= 4


def test_a_sample_takes_the_same_places_however_they_are_stored():
    values = np.arange(SAMPLE * 8).reshape(50, 40, -1)
    np.testing.assert_array_equal(take_sample(values), take_sample(np.asfortranarray(values)))


def test_an_outlier_is_told_by_the_brain_and_not_by_what_is_around():
    brain = np.tile(np.arange(100.0, 121.0), 1000)
    background = np.zeros(4 * brain.size)
    for brightest, told in ((130, []), (200, [Rule.OUTLIERS])):
        values = np.concatenate([background, brain, [brightest]])
        assert [rule for rule, _ in intensity_faults(values, stripped=True)] == told


@pytest.mark.parametrize("levels", [FEWEST_VALUES - 1, FEWEST_VALUES])
def test_an_image_has_sixteen_values_at_least(levels):
    faults = list(intensity_faults(np.arange(4096) % levels, stripped=False))
    assert (faults == []) == (levels == FEWEST_VALUES)


def test_labels_without_a_scheme_make_nothing_usable(dataset):
    report = check_dataset(replace(dataset, scheme=None), workers=1)
    assert (report.exit_code, report.usable_cases) == (2, ())
    (finding,) = report.findings
    assert finding.rule is Rule.NO_SCHEME
    assert "0, 1, 2, 4" in finding.detail


def test_images_without_labels_need_no_scheme(dataset):
    cases = tuple(replace(case, label=None) for case in dataset.cases)
    report = check_dataset(replace(dataset, scheme=None, cases=cases), workers=1)
    assert (report.findings, report.exit_code) == ((), 0)


def test_empty_labels_of_two_cases_may_be_the_same_bytes(own_phantoms):
    for case in (FIRST, "BraTS19_PHANTOM_002_1"):
        corrupt(own_phantoms, case, "empty-label")
    assert _codes(check_dataset(find_dataset(own_phantoms), workers=1)) == ["W406", "W406"]


def test_the_one_grid_unlike_the_others_is_noted(own_phantoms):
    corrupt(own_phantoms, FIRST, "thick-slices")
    report = check_dataset(find_dataset(own_phantoms), workers=1)
    (note,) = [finding for finding in report.findings if finding.rule is Rule.ODD_GRID]
    assert note.case == FIRST
    assert note.detail == "voxels of 1 x 1 x 5 mm, others have 1 x 1 x 1"


def test_where_many_grids_differ_none_is_odd(own_phantoms):
    for number in (1, 2, 3):
        corrupt(own_phantoms, f"BraTS19_PHANTOM_00{number}_1", "thick-slices")
    found = check_dataset(find_dataset(own_phantoms), workers=1).findings
    assert {finding.rule for finding in found} == {Rule.THICK_SLICES}


def test_the_one_shape_unlike_the_others_is_noted(dataset, tmp_path):
    other = write_phantoms(tmp_path / "made", cases=1, size=(32, 32, 40), seed=9, workers=1)
    odd = replace(find_dataset(other).cases[0], name="odd")
    mixed = replace(dataset, root=Path("/"), cases=(*dataset.cases, odd))
    (note,) = check_dataset(mixed, workers=1).findings
    assert (note.case, note.rule) == ("odd", Rule.ODD_GRID)
    assert note.detail == "32 x 32 x 40 voxels, others have 32 x 32 x 32"


def _report(dataset, *findings):
    return CheckReport(dataset, tuple(findings), {})


def _finding(number=0, rule=Rule.NAN, detail="seen"):
    return Finding(rule, f"case-{number}", f"case-{number}/<b>.nii", detail)


def test_beyond_three_errors_the_last_line_counts(dataset):
    few, many = ([_finding(n) for n in range(count)] for count in (3, 9))
    assert error_lines(_report(dataset, *few)) == [str(finding) for finding in few]
    *told, last = error_lines(_report(dataset, *many))
    assert told == [str(finding) for finding in many[:2]]
    assert last == "and 7 errors more"


def test_beyond_five_findings_of_a_rule_the_summary_counts(dataset):
    text = write_summary(_report(dataset, *(_finding(n) for n in range(200))))
    assert len(re.findall("case-", text)) == 2 * 5
    assert "ERROR and 195 findings more: voxels that are no number [E301]" in text


def test_the_summary_tells_errors_first_and_ends_with_counts(dataset):
    note, error = _finding(1, Rule.OUTLIERS), _finding(2)
    lines = write_summary(_report(dataset, note, error)).splitlines()
    assert lines.index(str(error)) < lines.index(str(note))
    assert lines[-1] == "8 usable cases, 1 left out: 1 error, 0 warnings, 1 note"


def test_json_holds_every_finding_and_no_absolute_path(dataset, tmp_path):
    write_json_report(_report(dataset, _finding()), tmp_path / "new" / "check.json")
    text = (tmp_path / "new" / "check.json").read_text()
    (record,) = json.loads(text)["findings"]
    assert (record["code"], record["fix"]) == ("E301", Rule.NAN.fix)
    assert str(dataset.root) not in text


def test_the_page_shows_a_hostile_name_as_text(dataset, tmp_path):
    write_html(_report(dataset, _finding(detail="<script>alert(1)</script>")), tmp_path / "c.html")
    tags, texts = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)
    parser.handle_data = texts.append
    parser.feed((tmp_path / "c.html").read_text())
    assert "script" not in tags
    assert "<script>alert(1)</script>" in texts


def test_the_page_needs_no_network(dataset, tmp_path):
    write_html(_report(dataset), tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text()
    assert "Nothing was found" in text
    assert not re.search(r"https?://|src=|@import|<link", text)


def test_a_name_that_is_no_unicode_can_be_reported(dataset, tmp_path):
    report = _report(dataset, Finding(Rule.NAN, "case", "f\udcff.nii", "seen"))
    write_html(report, tmp_path / "c.html")
    write_json_report(report, tmp_path / "c.json")
    assert b"f\xff.nii" in (tmp_path / "c.html").read_bytes()
    assert write_summary(report)


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason="the decathlon's hippocampi are not here")
def test_real_hippocampi_are_clean_but_for_notes():
    report = check_dataset(find_dataset(HIPPOCAMPUS), workers=2)
    assert (len(report.usable_cases), report.exit_code) == (200, 0)
    assert {f.rule for f in report.findings} == {Rule.FLOAT_LABEL, Rule.OUTLIERS}


def test_a_dataset_without_cases_is_not_usable(tmp_path):
    empty = Dataset(tmp_path, "none", (), {}, None, ())
    assert check_dataset(empty).exit_code == 2


def test_a_case_that_breaks_the_check_itself_is_left_out_and_the_others_go_on(dataset, monkeypatch):
    first = dataset.cases[0].images["t1"].path

    def read(path):
        return 1 / 0 if path == first else read_scan(path)

    monkeypatch.setattr("data_prep.checks.inspection.read_scan", read)
    report = check_dataset(dataset, workers=1)
    assert report.left_out == (dataset.cases[0].name,)
    assert "ZeroDivisionError: division by zero - export its scans again" in error_lines(report)[0]


@pytest.mark.parametrize(("value", "found"), [(1e14, []), (-1e16, [Rule.INFINITE])])
def test_values_whose_squares_no_float_holds_are_refused(value, found):
    values = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    values[0, 0, 0] = value
    faults = [rule for rule, _ in intensity_faults(values, stripped=False)]
    assert [rule for rule in faults if rule is Rule.INFINITE] == found


def test_every_rule_stands_on_the_page_of_the_checks():
    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text("utf-8")
    for rule in Rule:
        assert f"| {rule.code} | {rule.title} | {rule.fix} |" in page
