"""Layouts are told from names alone, so these trees are of empty files."""

import json
import pickle
import shutil

import pytest

from data_prep import DatasetError
from data_prep.layouts import find_dataset
from data_prep.layouts.parts import list_volumes
from data_prep.rules import Rule

FOUR = ("t1ce", "t1", "t2", "flair")
LATER = ("t1c", "t1n", "t2w", "t2f")
BRAIN = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}


def _touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _case(root, folder, name, kinds=(*FOUR, "seg"), separator="_", ending=".nii.gz"):
    return _touch(root, *(f"{folder}/{name}{separator}{kind}{ending}" for kind in kinds))


def _declare(root, **content):
    root.mkdir(exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


def _rules(dataset):
    return [finding.rule for finding in dataset.findings]


def _only_finding(dataset, rule):
    (finding,) = (finding for finding in dataset.findings if finding.rule is rule)
    return finding


# BraTS


def test_files_come_in_our_order_and_grades_from_folders(phantoms):
    dataset = find_dataset(phantoms)
    assert [case.grade for case in dataset.cases] == ["HGG", "HGG", "HGG", "LGG"] * 2
    endings = [file.name.removeprefix(dataset.cases[0].name) for file in dataset.cases[0].files]
    assert endings == [f"_{kind}.nii.gz" for kind in (*FOUR, "seg")]


def test_the_folder_of_one_grade_is_read_with_its_grade(phantoms, tmp_path):
    assert {case.grade for case in find_dataset(phantoms / "LGG").cases} == {"LGG"}
    flat = shutil.copytree(phantoms / "LGG", tmp_path / "flat")
    assert [case.grade for case in find_dataset(flat).cases] == ["unknown", "unknown"]


@pytest.mark.parametrize("name", ["patient_01", "siteA_00", "PAT-001", "BraTS2021_00495"])
def test_only_known_names_have_visits_others_are_a_patient_each(name, tmp_path):
    (case,) = find_dataset(_case(tmp_path, name, name)).cases
    assert case.patient == name


def test_a_follow_up_is_of_the_same_patient(tmp_path):
    for name in ("UCSF-PDGM-0000", "UCSF-PDGM-0000_FU001d"):
        _case(tmp_path, name, name)
    assert {case.patient for case in find_dataset(tmp_path).cases} == {"UCSF-PDGM-0000"}


def test_a_name_that_is_no_text_is_left_out_and_told_in_one_line(tmp_path):
    _case(tmp_path, "fine", "fine")
    _case(tmp_path, "red\x1b", "red\x1b")
    dataset = find_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["fine"]
    line = str(_only_finding(dataset, Rule.ODD_NAME))
    assert line.startswith("ERROR red\\x1b: red\\x1b: ")


@pytest.mark.parametrize(
    ("name", "separator", "kinds", "patient"),
    [
        ("BraTS19_CBICA_AAB_1", "_", FOUR, "BraTS19_CBICA_AAB"),
        ("BraTS19_PHANTOM_001_12", "_", FOUR, "BraTS19_PHANTOM_001"),
        ("BraTS20_Training_001", "_", FOUR, "BraTS20_Training_001"),
        ("BraTS2021_00495", "_", FOUR, "BraTS2021_00495"),
        ("BraTS-GLI-00005-100", "-", LATER, "BraTS-GLI-00005"),
    ],
)
def test_a_patient_is_the_case_without_its_visit(name, separator, kinds, patient, tmp_path):
    (case,) = find_dataset(_case(tmp_path, name, name, kinds, separator)).cases
    assert (case.name, case.patient, case.label) == (name, patient, None)


def test_names_in_capitals_without_compression_in_one_folder_are_read(tmp_path):
    for name in ("A", "B"):
        _case(tmp_path, ".", name, [kind.upper() for kind in (*FOUR, "seg")], ending=".NII")
    dataset = find_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["A", "B"]
    assert dataset.mapping["t1"] == "*_t1.nii"


def test_files_named_by_modality_alone_take_the_name_of_their_folder(tmp_path):
    _touch(tmp_path, *(f"{name}/{kind}.nii.gz" for name in ("P1", "P2") for kind in FOUR))
    assert [case.name for case in find_dataset(tmp_path).cases] == ["P1", "P2"]


def test_grades_are_read_from_the_list_of_names_too(tmp_path):
    for name in ("BraTS20_Training_001", "BraTS20_Training_002"):
        _case(tmp_path, name, name)
    rows = "Grade,BraTS_2019_subject_ID,BraTS_2020_subject_ID\nLGG,NA,BraTS20_Training_002\n"
    (tmp_path / "name_mapping.csv").write_text(rows)
    assert [case.grade for case in find_dataset(tmp_path).cases] == ["unknown", "LGG"]


def test_cases_of_two_namings_are_not_mixed(tmp_path):
    _case(_case(tmp_path, "A", "A"), "B", "B", (*LATER, "seg"), "-")
    with pytest.raises(DatasetError, match=r"mixes cases of .* label values differ; give each"):
        find_dataset(tmp_path)


def test_what_paediatric_labels_mean_is_not_guessed(tmp_path):
    _case(tmp_path, "X", "BraTS-PED-00001-000", (*LATER, "seg"), "-")
    dataset = find_dataset(tmp_path)
    assert dataset.scheme is None
    assert "not declared" in dataset.mapping["labels"]
    assert find_dataset(tmp_path, labels="brats2024-ped").scheme.regions["ET"] == (1,)


def test_hidden_files_and_links_in_a_circle_are_passed_over(tmp_path):
    _case(tmp_path, "A", "A")
    _touch(tmp_path, "A/._A_t1.nii.gz", ".cache/A/A_t1.nii.gz")
    (tmp_path / "A" / "loop").symlink_to(tmp_path)
    (tmp_path / "A" / "self").symlink_to(tmp_path / "A")
    assert find_dataset(tmp_path).findings == ()
    assert len(list_volumes(tmp_path)) == 5


def test_a_linked_folder_of_a_case_is_read(tmp_path):
    _case(tmp_path, "store/deep/A", "A")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "A").symlink_to(tmp_path / "store" / "deep" / "A")
    assert [case.name for case in find_dataset(tmp_path / "set").cases] == ["A"]


def test_a_dataset_goes_to_other_processes(phantoms):
    dataset = find_dataset(phantoms)
    assert pickle.loads(pickle.dumps(dataset)) == dataset  # noqa: S301


# What is wrong with the names


def test_a_missing_modality_leaves_the_case_out_and_names_the_similar_file(own_phantoms):
    file = next(own_phantoms.glob("HGG/*_002_1/*_t1ce.nii.gz"))
    file.rename(file.with_name(file.name.replace("t1ce", "t1gd")))
    dataset = find_dataset(own_phantoms)
    finding = _only_finding(dataset, Rule.MISSING_MODALITY)
    assert finding.file == "HGG/BraTS19_PHANTOM_002_1"
    assert "t1ce BraTS19_PHANTOM_002_1_t1ce.nii.gz; is it" in finding.detail
    assert "_t1gd.nii.gz" in finding.detail
    assert len(dataset.cases) == 7


def test_a_label_of_another_name_is_suggested(tmp_path):
    _case(_case(tmp_path, "A", "A", FOUR), "B", "B")
    finding = _only_finding(
        find_dataset(_touch(tmp_path, "A/W39_1998.09.19_Segm.nii")), Rule.NO_LABEL
    )
    assert (finding.case, finding.rule.severity) == ("A", "note")
    assert finding.detail.endswith("is it W39_1998.09.19_Segm.nii?")


def test_files_of_another_case_are_not_suggested(tmp_path):
    _case(_case(tmp_path, "A", "A", FOUR), "B", "B")
    dataset = find_dataset(_touch(tmp_path, "B/A_segm.nii.gz"))
    assert _only_finding(dataset, Rule.NO_LABEL).detail == "lacks the label A_seg.nii.gz"


def test_a_case_without_a_label_stays(tmp_path):
    dataset = find_dataset(_case(tmp_path, "A", "A", FOUR))
    assert _rules(dataset) == [Rule.NO_LABEL]
    assert dataset.cases[0].label is None


def test_a_modality_given_twice_leaves_the_case_out(tmp_path):
    _case(_case(tmp_path, "A", "A"), "B", "B")
    dataset = find_dataset(_touch(tmp_path, "A/A_t2.nii"))
    finding = _only_finding(dataset, Rule.GIVEN_TWICE)
    assert (finding.case, finding.file) == ("A", "A/A_t2.nii")
    assert finding.detail == "t2 also in A/A_t2.nii.gz"
    assert [case.name for case in dataset.cases] == ["B"]


def test_cases_of_one_name_are_both_left_out(tmp_path):
    for folder in ("HGG/A", "LGG/A", "HGG/B"):
        _case(tmp_path, folder, folder[-1])
    dataset = find_dataset(tmp_path)
    assert [f.file for f in dataset.findings if f.rule is Rule.CASE_TWICE] == ["HGG/A", "LGG/A"]
    assert [case.name for case in dataset.cases] == ["B"]


def test_a_label_without_images_is_no_case(tmp_path):
    dataset = find_dataset(_touch(_case(tmp_path, "A", "A"), "B/B_seg.nii.gz"))
    finding = _only_finding(dataset, Rule.LABEL_ALONE)
    assert (finding.case, finding.file) == ("B", "B/B_seg.nii.gz")
    assert [case.name for case in dataset.cases] == ["A"]


def test_a_file_of_no_case_is_noted(tmp_path):
    _touch(_case(tmp_path, "A", "A"), "A/A_brain.nii.gz", "a/b/c_t1.nii.gz", "notes.txt")
    strays = find_dataset(tmp_path).findings
    assert {finding.rule for finding in strays} == {Rule.STRAY_FILE}
    assert {finding.file for finding in strays} == {"A/A_brain.nii.gz", "a/b/c_t1.nii.gz"}


# Nothing recognised


def test_an_empty_folder_says_which_layouts_are_known(tmp_path):
    with pytest.raises(DatasetError, match=r"files are none; expected BraTS \(<case>.*BIDS.*") as e:
        find_dataset(tmp_path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("depth", ["", "deeper"])
def test_the_folder_above_the_cases_names_the_one_meant(tmp_path, depth):
    _case(tmp_path / depth / "train", "HGG/A", "A")
    _touch(tmp_path / depth / "task", "imagesTr/a.nii.gz")
    with pytest.raises(DatasetError, match=r"such as .*did you mean .*task or .*train\?"):
        find_dataset(tmp_path)


def test_labels_alone_are_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"1 such as A/A_seg\.nii\.gz"):
        find_dataset(_touch(tmp_path, "A/A_seg.nii.gz"))


def test_a_misspelt_folder_names_its_nearest_sibling(phantoms):
    with pytest.raises(DatasetError, match=r"did you mean .*phantoms\?"):
        find_dataset(phantoms.with_name("phantom"))


def test_a_folder_without_parent_names_the_parent(tmp_path):
    with pytest.raises(DatasetError, match="other does not exist either"):
        find_dataset(tmp_path / "other" / "cases")


def test_a_file_is_no_folder_of_cases(tmp_path):
    with pytest.raises(DatasetError, match="is a file, expected a folder"):
        find_dataset(_touch(tmp_path, "cases") / "cases")


def test_an_order_is_refused_where_names_tell_it(phantoms):
    with pytest.raises(DatasetError, match=r"BraTS 2017-2021.*expected no order"):
        find_dataset(phantoms, order=FOUR)


def test_declared_labels_replace_those_of_the_layout(phantoms):
    assert find_dataset(phantoms, labels="msd").scheme.name == "msd"
    with pytest.raises(DatasetError, match=r"no label scheme 'mds'.*did you mean msd"):
        find_dataset(phantoms, labels="mds")


# Decathlon


def test_a_task_of_one_modality_keeps_its_own_names(tmp_path):
    _declare(tmp_path, modality={"0": "MRI"}, labels={"0": "background", "1": "Anterior"})
    _touch(tmp_path, "imagesTr/h_001.nii.gz", "labelsTr/h_001.nii.gz", "imagesTs/h_002.nii.gz")
    dataset = find_dataset(tmp_path)
    assert (dataset.layout, dataset.modalities) == ("decathlon", ("MRI",))
    assert [case.label is None for case in dataset.cases] == [False, True]
    assert dataset.cases[0].images["MRI"].channel is None
    assert dataset.scheme.regions == {"Anterior": (1,)}


def test_modalities_that_are_not_all_of_a_brain_keep_their_names_and_order(tmp_path):
    _declare(tmp_path, modality={"0": "T2", "1": "ADC"}, labels={"1": "PZ"})
    dataset = find_dataset(_touch(tmp_path, "imagesTr/p.nii.gz"))
    assert [i.channel for i in dataset.cases[0].images.values()] == [0, 1]
    assert dataset.modalities == ("T2", "ADC")
    assert dataset.mapping["ADC"] == "*.nii.gz (channel 1, declared as ADC)"


def test_the_list_says_what_must_exist_and_what_belongs(tmp_path):
    listed = [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in "ab"]
    _declare(tmp_path, modality=BRAIN, training=listed, test=["./imagesTs/t.nii.gz"])
    _touch(tmp_path, *(f"{f}/{c}.nii.gz" for f in ("imagesTr", "labelsTr") for c in "ac"))
    dataset = find_dataset(tmp_path)
    found = {(f.rule, f.file) for f in dataset.findings}
    assert found == {
        (Rule.ABSENT_FILE, "imagesTr/b.nii.gz"),
        (Rule.ABSENT_FILE, "labelsTr/b.nii.gz"),
        (Rule.ABSENT_FILE, "imagesTs/t.nii.gz"),
        (Rule.NOT_LISTED, "imagesTr/c.nii.gz"),
        (Rule.NOT_LISTED, "labelsTr/c.nii.gz"),
    }
    assert [case.name for case in dataset.cases] == ["a"]


def test_a_list_that_points_elsewhere_is_not_followed(tmp_path):
    _declare(tmp_path, modality={"0": "CT"}, training=["", "/etc/imagesTr/a.nii.gz", 7])
    dataset = find_dataset(_touch(tmp_path, "imagesTr/a.nii.gz"))
    assert _rules(dataset).count(Rule.ABSENT_FILE) == 3
    assert dataset.cases == ()


def test_a_stacked_file_given_twice_is_told_once(tmp_path):
    _declare(tmp_path, modality=BRAIN)
    dataset = find_dataset(_touch(tmp_path, "imagesTr/a.nii", "imagesTr/a.nii.gz"))
    assert _only_finding(dataset, Rule.GIVEN_TWICE).detail.startswith("flair, t1, t1ce, t2 also")


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"labels": {"a": "b"}}', '{"modality": {"1": "CT"}}', '{"labels": [1]}'],
)
def test_a_dataset_json_that_makes_no_sense_is_named(content, tmp_path):
    _touch(tmp_path, "imagesTr/a.nii.gz")
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DatasetError, match=r"dataset\.json cannot be understood .*expected JSON"):
        find_dataset(tmp_path)


# nnU-Net


@pytest.fixture
def numbered(tmp_path):
    images = [f"imagesTr/c_{case}_{n:04d}.nii.gz" for case in "ab" for n in range(4)]
    return _touch(tmp_path, *images, "labelsTr/c_a.nii.gz", "labelsTr/c_b.nii.gz")


def test_numbered_files_without_names_need_an_order(numbered):
    with pytest.raises(DatasetError, match=r"4 or more channels, but nothing is declared.*--order"):
        find_dataset(numbered)
    dataset = find_dataset(numbered, order=("t2", "FLAIR", "T1", "T1-Gd"))
    assert dataset.modalities == FOUR
    assert dataset.cases[0].images["flair"].path.name == "c_a_0001.nii.gz"
    assert dataset.scheme is None


@pytest.mark.parametrize("names", [["noNorm"] * 4, ["t1", "t2"]])
def test_names_that_do_not_tell_channels_apart_are_refused(numbered, names):
    _declare(numbered, channel_names={str(n): name for n, name in enumerate(names)})
    with pytest.raises(DatasetError, match=f"but {', '.join(names)} is declared"):
        find_dataset(numbered)


def test_an_order_given_goes_before_the_one_declared(numbered):
    (numbered / "dataset.json").write_text(json.dumps({"modality": BRAIN}), encoding="utf-8-sig")
    declared, given = find_dataset(numbered), find_dataset(numbered, order=FOUR)
    files = [dataset.cases[0].images["flair"].path.name for dataset in (declared, given)]
    assert files == ["c_a_0000.nii.gz", "c_a_0003.nii.gz"]


def test_regions_of_nnunet_are_read(numbered):
    regions = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "ET": 3}
    _declare(numbered, channel_names=BRAIN, labels=regions)
    assert find_dataset(numbered).scheme.regions == {"WT": (1, 2, 3), "TC": (2, 3), "ET": (3,)}


def test_the_old_list_without_numbers_is_understood(numbered):
    listed = [{"image": "./imagesTr/c_a.nii.gz", "label": "./labelsTr/c_a.nii.gz"}]
    _declare(numbered, modality=BRAIN, training=listed)
    dataset = find_dataset(numbered)
    assert [case.name for case in dataset.cases] == ["c_a"]
    assert set(_rules(dataset)) == {Rule.NOT_LISTED}


def test_a_missing_channel_and_a_file_without_number_are_found(numbered):
    (numbered / "imagesTr" / "c_b_0002.nii.gz").unlink()
    dataset = find_dataset(_touch(numbered, "imagesTr/extra.nii.gz"), order=FOUR)
    assert _only_finding(dataset, Rule.STRAY_FILE).file == "imagesTr/extra.nii.gz"
    assert "the t2 c_b_0002.nii.gz" in _only_finding(dataset, Rule.MISSING_MODALITY).detail
    assert [case.name for case in dataset.cases] == ["c_a"]


def test_a_decathlon_whose_cases_have_four_digits_is_not_taken_for_nnunet(tmp_path):
    _declare(tmp_path, modality=BRAIN)
    dataset = find_dataset(_touch(tmp_path, "imagesTr/c_0001.nii", "labelsTr/c_0001.nii"))
    assert (dataset.layout, dataset.cases[0].name) == ("decathlon", "c_0001")


# BIDS


@pytest.fixture
def subjects(tmp_path):
    for subject in ("sub-1/anat/sub-1", "sub-2/ses-b/anat/sub-2_ses-b"):
        _touch(tmp_path, *(f"{subject}_{kind}.nii.gz" for kind in ("T1w", "ce-gd_T1w", "flair")))
    return _touch(tmp_path, "sub-1/anat/sub-1_dseg.nii.gz", "sub-1/func/sub-1_bold.nii.gz")


def test_a_subject_may_have_visits_and_fewer_modalities(subjects):
    dataset = find_dataset(subjects)
    assert dataset.modalities == ("t1ce", "t1", "flair")
    assert [(c.name, c.patient) for c in dataset.cases] == [
        ("sub-1", "sub-1"),
        ("sub-2_ses-b", "sub-2"),
    ]
    assert [finding.case for finding in dataset.findings] == ["sub-2_ses-b"]


@pytest.mark.parametrize("name", ["space-T1w_dseg", "seg", "label-tumor_mask"])
def test_labels_are_taken_from_derivatives_but_no_images(subjects, name):
    folder = "derivatives/expert/sub-2/ses-b/anat/sub-2_ses-b"
    _touch(subjects, *(f"{folder}_{kind}.nii.gz" for kind in (name, "desc-preproc_T1w")))
    _touch(subjects, f"{folder}_desc-brain_mask.nii.gz", f"{folder}_desc-aseg_dseg.nii.gz")
    dataset = find_dataset(subjects)
    assert dataset.findings == ()
    assert dataset.cases[1].label.name == f"sub-2_ses-b_{name}.nii.gz"


def test_what_the_labels_mean_is_read_from_the_table_beside_them(subjects):
    assert find_dataset(subjects).scheme is None
    rows = "index\tname\n0\tbackground\n1\tNCR\n2\tED\n4\tET\n"
    (subjects / "dseg.tsv").write_text(rows)
    (subjects / "desc-aseg_dseg.tsv").write_text("index\tname\n1\tthalamus\n")
    assert find_dataset(subjects).scheme.name == "brats2021"
    (subjects / "sub-1" / "sub-1_dseg.tsv").write_text(rows.replace("4", "3"))
    assert find_dataset(subjects).scheme is None


@pytest.mark.parametrize("table", ["value\tname\n1\tET\n", "index\tname\nx\tET\n"])
def test_a_table_that_makes_no_sense_is_named(subjects, table):
    (subjects / "dseg.tsv").write_text(table)
    with pytest.raises(DatasetError, match=r"dseg\.tsv cannot be understood .*index and name"):
        find_dataset(subjects)


def test_other_scans_are_noted_and_two_runs_are_an_error(subjects):
    _touch(subjects, "sub-1/anat/sub-1_T2star.nii.gz", "sub-1/anat/sub-1_run-2_T1w.nii.gz")
    dataset = find_dataset(subjects)
    assert _only_finding(dataset, Rule.STRAY_FILE).file == "sub-1/anat/sub-1_T2star.nii.gz"
    assert _only_finding(dataset, Rule.GIVEN_TWICE).case == "sub-1"
    assert [case.name for case in dataset.cases] == ["sub-2_ses-b"]
