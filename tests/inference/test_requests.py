"""What is asked for is told from names alone, so most of these trees are of empty files."""

import pytest

from data_prep import DatasetError, write_phantoms
from data_prep.checks import inspect_case
from data_prep.layouts.loose import name_sequence
from data_prep.rules import Rule
from monai_kd.inference.requests.requests import describe_request, find_requests

FOUR = ("t1ce", "t1", "t2", "flair")


def _touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def _case(root, name, kinds=FOUR):
    return _touch(root / name, *(f"{name}_{kind}.nii.gz" for kind in kinds))


def test_a_case_folder_and_the_folder_of_cases_give_the_same_case(tmp_path):
    folder = _case(tmp_path, "p1", (*FOUR, "seg"))
    (alone,), (among,) = find_requests([folder]), find_requests([tmp_path])
    assert alone.name == among.name == "p1"
    assert alone.case.images == among.case.images
    assert alone.case.label is None


def test_the_folder_that_one_stands_in_lends_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(_touch(tmp_path / "p1", *(f"{kind}.nii.gz" for kind in FOUR)))
    (request,) = find_requests([type(tmp_path)()])
    assert request.name == "p1"


def test_the_same_input_twice_is_one_case(tmp_path):
    folder = _case(tmp_path, "p1")
    assert len(find_requests([folder, folder / ".." / "p1"])) == 1


def test_requests_come_in_the_order_of_names_whatever_the_order_of_inputs(tmp_path):
    folders = [_case(tmp_path, name) for name in ("c", "a", "b")]
    assert [request.name for request in find_requests(folders)] == ["a", "b", "c"]


@pytest.mark.parametrize("other", ["x", "X"])
def test_equal_names_in_different_folders_are_refused_naming_both(tmp_path, other):
    places = [_case(tmp_path / "A", "x"), _case(tmp_path / "B", other)]
    with pytest.raises(DatasetError, match="two cases are called") as error:
        find_requests(places)
    assert all(str(place) in str(error.value) for place in places)


def test_a_case_that_lacks_a_sequence_is_kept_with_those_it_has(tmp_path):
    _case(tmp_path, "p1", ("t1ce", "t1"))
    _case(tmp_path, "p2")
    partial, whole = find_requests([tmp_path])
    assert tuple(partial.case.images) == ("t1ce", "t1")
    assert tuple(whole.case.images) == FOUR
    assert not partial.findings


def test_a_4d_file_is_a_case_whose_channels_come_from_the_declaration_above(tmp_path):
    write_phantoms(tmp_path, cases=1, size=32, layout="msd", workers=1)
    (request,) = find_requests([tmp_path / "imagesTr" / "BRATS_001.nii.gz"])
    (whole,) = find_requests([tmp_path])
    assert {n: i.channel for n, i in request.case.images.items()} == {
        n: i.channel for n, i in whole.case.images.items()
    }
    assert "flair t1 t1ce t2 found as channels" in describe_request(request)


def test_the_channels_of_a_nameless_file_are_not_guessed(tmp_path):
    file = _touch(tmp_path, "scan.nii.gz") / "scan.nii.gz"
    with pytest.raises(DatasetError, match="--order"):
        find_requests([file])
    (request,) = find_requests([file], order=["t2", "t1"])
    assert {name: image.channel for name, image in request.case.images.items()} == {
        "t2": 0,
        "t1": 1,
    }


def test_numbered_files_in_a_flat_folder_follow_the_order(tmp_path):
    _touch(tmp_path, *(f"a_{number:04d}.nii.gz" for number in range(4)))
    (request,) = find_requests([tmp_path], order=["T1", "T1ce", "T2", "FLAIR"])
    assert request.name == "a"
    assert {n: i.path.name for n, i in request.case.images.items()}["t1ce"] == "a_0001.nii.gz"


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("AX T1 post GAD.nii.gz", "t1ce"),
        ("t1_mprage.nii", "t1"),
        ("SAG-T2-FLAIR.nii.gz", "flair"),
        ("t2f.nii.gz", "flair"),
        ("pat_T2w.nii.gz", "t2"),
        ("t1_and_t2.nii.gz", None),
        ("mask.nii.gz", None),
    ],
)
def test_words_of_a_clinic_name_a_sequence(tmp_path, name, sequence):
    assert name_sequence(tmp_path / name) == sequence


def test_any_four_files_that_name_their_sequences_are_a_case(tmp_path):
    names = ("AX T1 post.nii.gz", "AX T1 pre.nii.gz", "AX T2.nii.gz", "AX FLAIR.nii.gz")
    (request,) = find_requests([_touch(tmp_path / "Miller", *names)])
    assert request.name == "Miller"
    assert tuple(image.path.name for image in request.case.images.values()) == names


@pytest.mark.parametrize(
    ("stems", "name"),
    [(("p-7_t1", "p-7_t1ce"), "p-7"), (("t1", "t1ce"), "folder"), (("p7_t1", "x"), "folder")],
)
def test_files_by_option_are_called_after_what_they_share(tmp_path, stems, name):
    folder = _touch(tmp_path / "folder", *(f"{stem}.nii.gz" for stem in stems))
    files = {kind: folder / f"{s}.nii.gz" for kind, s in zip(("t1", "t1ce"), stems, strict=True)}
    (request,) = find_requests([], files=files)
    assert request.name == name
    assert tuple(request.case.images) == ("t1ce", "t1")


def test_a_folder_beside_those_of_cases_is_never_passed_over_in_silence(tmp_path):
    for name in ("a", "b"):
        _touch(tmp_path / name, *(f"{name}_{sequence}.nii.gz" for sequence in FOUR))
    _touch(tmp_path / "misnamed", "scan.nii.gz")
    _touch(tmp_path / "empty")
    _touch(tmp_path / "dicom")
    (tmp_path / "dicom" / "1").write_bytes(bytes(128) + b"DICM")
    found = {request.name: request.findings for request in find_requests([tmp_path])}
    assert {name for name, findings in found.items() if not findings} == {"a", "b"}
    rules = {name: findings[0].rule for name, findings in found.items() if findings}
    assert rules.pop("dicom") is Rule.IS_DICOM
    assert rules == dict.fromkeys(("misnamed", "empty"), Rule.MISSING_MODALITY)


def test_folders_of_other_things_and_what_lies_beside_one_case_are_no_cases(tmp_path):
    _touch(tmp_path / "a", *(f"a_{sequence}.nii.gz" for sequence in FOUR))
    _touch(tmp_path / "scripts", "convert.py")
    _touch(tmp_path / ".hidden", "scan.nii.gz")
    assert [request.name for request in find_requests([tmp_path])] == ["a"]
    _touch(tmp_path / "misnamed", "scan.nii.gz")
    assert [request.name for request in find_requests([tmp_path / "a"])] == ["a"]


def test_files_on_two_drives_are_one_case(tmp_path, monkeypatch):
    def commonpath(_):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", commonpath)
    paths = {"t1": tmp_path / "c" / "x_t1.nii", "t2": tmp_path / "d" / "x_t2.nii"}
    (request,) = find_requests([], files=paths)
    assert (request.name, set(request.case.images)) == ("x", {"t1", "t2"})
    assert inspect_case(request.case, dataset=request.dataset).findings[0].file == "x_t1.nii"
