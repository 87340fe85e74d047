import csv
import json
from dataclasses import replace

import pytest

from data_prep.brats.labels import BRATS2023
from data_prep.case import ImageFile
from data_prep.files import write_json
from data_prep.findings import Finding
from data_prep.rules import Rule
from monai_kd.inference.calibration import Trust
from monai_kd.inference.judging.verdict import Verdict
from monai_kd.inference.requests.opened_case import OpenedCase
from monai_kd.inference.requests.requests import Request
from monai_kd.inference.results.case_result import CaseResult
from monai_kd.inference.results.record import build_record, build_refusal
from monai_kd.inference.results.result_files import ResultFiles, find_change, read_record
from monai_kd.inference.results.summary import write_summary
from monai_kd.inference.runtimes.choice import open_runtime
from monai_kd.inference.segmenting.segmentation import write_label
from monai_kd.inference.volumes import measure_volumes
from monai_kd.version import tool_name
from tests.inference.segmented import segment_case

KEYS = (
    "format case verdict reasons sequences empty missing labels volumes_ml agreement expected_dice "
    "lesions grid provenance notice"
)


@pytest.fixture(scope="module")
def runtime(student):
    return open_runtime(student, threads=1)


@pytest.fixture(scope="module")
def segmentation(inspection, student, runtime):
    return segment_case(inspection, student, runtime)


@pytest.fixture(scope="module")
def build(inspection, segmentation, student, runtime, dataset):
    affine, scheme = segmentation.reference.affine, segmentation.scheme
    request = Request(inspection.case.name, inspection.case, dataset)

    def build(**more):
        found = {"volumes_ml": measure_volumes(segmentation.label, affine, scheme), **more}
        opened = OpenedCase(request, student, inspection, 0.0)
        result = CaseResult(opened, segmentation, Verdict("PASS", ()), **found)
        return build_record(result, runtime=runtime, scheme=BRATS2023)

    return build


@pytest.fixture
def whole(build, inspection, segmentation, tmp_path):
    files = ResultFiles(tmp_path, inspection.case.name)
    write_label(segmentation, files.label, BRATS2023)
    write_json(files.record, build())
    return files


def test_a_record_has_all_keys_in_order_and_comes_back_from_json(build):
    record = build()
    assert " ".join(record) == KEYS
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_volumes_are_nested_as_the_regions_are(build):
    volumes = {region: v["value"] for region, v in build()["volumes_ml"].items()}
    assert volumes["WT"] >= volumes["TC"] >= volumes["ET"] >= 0
    assert volumes["WT"] > 0


def test_an_endless_interval_is_none(build):
    trusts = {"WT": Trust(0.9, 0.1), "TC": Trust(0.8, float("inf"))}
    volumes = build(trusts=trusts, agreement={"WT": 1.0, "TC": 1.0})["volumes_ml"]
    assert volumes["WT"]["low"] < volumes["WT"]["value"] < volumes["WT"]["high"]
    assert volumes["TC"]["low"] is volumes["TC"]["high"] is volumes["ET"]["low"] is None


def test_sequences_are_told_by_name_and_hash_and_never_by_path(build, inspection):
    record = build()
    assert set(record["sequences"]) == set(inspection.scans)
    hashes = {path.name: digest for path, digest in inspection.hashes.items()}
    for told in record["sequences"].values():
        assert told["sha256"] == hashes[told["file"]]
    assert str(inspection.case.files[0].parent) not in json.dumps(record)


@pytest.fixture
def find(whole, inspection, student):
    """Say what has changed since `whole` was made, for these or other circumstances."""
    told = {"tool": tool_name(), "bundle_sha256": student.sha256, "scheme": "brats2023"}
    return lambda case=inspection.case, **other: find_change(whole, case, **told | other)


def test_a_whole_result_of_the_same_scans_is_still_true(find):
    assert find() is None


@pytest.mark.parametrize(
    ("spoil", "change"),
    [
        (lambda files: files.record.write_text("{"), "not whole"),
        (lambda files: files.record.write_text("[]"), "not whole"),
        (lambda files: files.label.unlink(), "is absent"),
    ],
)
def test_what_is_not_whole_is_made_again(whole, find, spoil, change):
    spoil(whole)
    assert change in find()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bundle_sha256", "made with another bundle"),
        ("scheme", "made with other --labels"),
        ("tool", "made with another version of this program"),
    ],
)
def test_another_bundle_or_scheme_is_a_change(find, name, change):
    assert find(**{name: "0"}) == change


def test_a_sequence_more_is_a_change(whole, find):
    record = json.loads(whole.record.read_text())
    del record["sequences"]["t2"]
    whole.record.write_text(json.dumps(record))
    assert find() == "made from other sequences"


@pytest.mark.parametrize("file", ["new.nii.gz", "absent.nii.gz"])
def test_a_changed_or_missing_scan_is_named(find, inspection, tmp_path, file):
    (tmp_path / "new.nii.gz").write_bytes(b"another")
    case = inspection.case
    changed = replace(case, images={**case.images, "t2": ImageFile(tmp_path / file)})
    assert find(changed) == f"{file} has changed"


def test_clearing_leaves_the_files_of_other_cases(tmp_path):
    names = ("a*.json", "a*_seg.nii.gz", "a*_WT_probability.nii.gz", "ab_WT_probability.nii.gz")
    for name in names:
        (tmp_path / name).touch()
    ResultFiles(tmp_path, "a*", ("WT",)).clear()
    assert [path.name for path in tmp_path.iterdir()] == ["ab_WT_probability.nii.gz"]


def test_clearing_removes_the_probabilities_of_a_student_of_other_outputs(tmp_path):
    files = ResultFiles(tmp_path, "a", ("spot",))
    files.probability("lake").touch()
    record = {"format": 1, "case": "a", "verdict": "PASS", "provenance": {}}
    write_json(files.record, record | {"volumes_ml": {"lake": {}}})
    files.clear()
    assert not list(tmp_path.iterdir())


def test_a_summary_lists_whole_and_left_out_cases_and_no_others(whole, student):
    reason = Finding(Rule.EMPTY_FILE, "b", "t2.nii.gz", "0 bytes")
    write_json(ResultFiles(whole.folder, "b").left_out, build_refusal("b", [reason], student))
    (whole.folder / "package.json").write_text('{"name": "not ours"}')
    assert write_summary(whole.folder, student.outputs) == 2
    with (whole.folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["verdict"]) for row in rows] == [
        (whole.case, "PASS"),
        ("b", "REFUSE"),
    ]
    assert rows[1]["reasons"] == "t2.nii.gz: 0 bytes - copy or download it again [E102]"
    assert float(rows[0]["WT_ml"]) == read_record(whole.record)["volumes_ml"]["WT"]["value"]


def test_names_are_escaped_on_the_page_and_no_formula_in_the_table(student, tmp_path):
    for name in ("<script>alert(1)<", "=1+1"):
        reason = Finding(Rule.ODD_NAME, name, "<b>", "odd")
        record = build_refusal(name, [reason], student)
        write_json(ResultFiles(tmp_path, str(len(name))).left_out, record)
    write_summary(tmp_path, student.outputs)
    page = (tmp_path / "index.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert "\n'=1+1," in (tmp_path / "summary.csv").read_text()


def test_one_case_needs_no_summary(whole, student):
    assert write_summary(whole.folder, student.outputs) == 1
    assert not (whole.folder / "summary.csv").exists()
