import hashlib
import shutil
import sys
from operator import itemgetter

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLosslessSV1, RLELossless, SecondaryCaptureImageStorage, generate_uid

from data_prep.brats.sequences import SEQUENCES
from data_prep.checks import inspect_case
from data_prep.dicom.files import holds_dicom
from data_prep.dicom.sequences import recognise_sequence
from data_prep.dicom.series import convert_dicom, read_dicom_case
from data_prep.errors import DatasetError
from data_prep.layouts import find_dataset
from data_prep.scans.grid import grid_of, turn_to_ras
from tests.damage.dicom_series import (
    HEADERS,
    PATIENT,
    Writer,
    draw_volumes,
    make_affine,
    save,
)


@pytest.fixture(scope="module")
def volumes():
    return draw_volumes()


@pytest.fixture
def writer(tmp_path):
    return Writer(tmp_path / "visit 1")


@pytest.fixture
def write_t1(writer, volumes):
    """Write one t1 series, its slices as `change` leaves them and its header as told."""
    return lambda **how: writer.write(volumes["t1"], **HEADERS["t1"] | how)


def refusal(folder, **choices):
    with pytest.raises(DatasetError) as caught:
        read_dicom_case(folder, choices=choices)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read_t1(folder):
    return read_dicom_case(folder).series["t1"].read()


def assert_same_in_space(scan, volume, affine):
    assert grid_of(scan.voxels.shape, scan.affine).is_same(grid_of(volume.shape, affine))
    np.testing.assert_array_equal(
        turn_to_ras(scan.values, scan.affine), turn_to_ras(volume, affine)
    )


@pytest.mark.parametrize("degrees", [0, 14])
@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal"])
def test_voxels_lie_where_the_scanner_put_them(writer, volumes, plane, degrees):
    writer.plane, writer.affine = plane, make_affine(degrees)
    writer.write(volumes["t1"], **HEADERS["t1"])
    assert_same_in_space(read_t1(writer.folder), volumes["t1"], writer.affine)


def test_neither_file_names_nor_instance_numbers_order_slices(write_t1, writer, tmp_path):
    def number_backwards(slices):
        for number, one in enumerate(reversed(slices)):
            one.InstanceNumber = number
        return slices

    files = write_t1(change=number_backwards)
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    for file, number in zip(files, np.random.default_rng(0).permutation(len(files)), strict=True):
        shutil.copy(file, shuffled / f"IM{number}")
    scans = [read_t1(folder) for folder in (writer.folder, shuffled)]
    np.testing.assert_array_equal(scans[0].voxels, scans[1].voxels)
    assert scans[0].sha256 == scans[1].sha256


@pytest.mark.parametrize("degrees", [0, 14])
def test_frames_of_one_file_are_read_as_files_of_one_slice_are(writer, volumes, degrees):
    writer.affine = make_affine(degrees)
    order = np.random.default_rng(1).permutation(volumes["t1"].shape[2])
    writer.write_frames(volumes["t1"], order, **HEADERS["t1"])
    assert_same_in_space(read_t1(writer.folder), volumes["t1"], writer.affine)


def test_times_of_a_multi_frame_image_stand_in_its_groups(writer, volumes):
    writer.write_frames(volumes["flair"], range(16), SeriesDescription="3")
    [file] = writer.folder.glob("*.dcm")
    one = dcmread(file)
    for group, keyword, value in (
        ("MREchoSequence", "EffectiveEchoTime", 120),
        ("MRTimingAndRelatedParametersSequence", "RepetitionTime", 9000),
        ("MRModifierSequence", "InversionTimes", 2500),
    ):
        item = Dataset()
        setattr(item, keyword, value)
        setattr(one.SharedFunctionalGroupsSequence[0], group, [item])
    save(one, file)
    assert set(read_dicom_case(writer.folder).series) == {"flair"}


@pytest.mark.parametrize(("missing", "told"), [(1, "1 slice missing"), (2, "2 slices missing")])
def test_a_gap_is_refused_with_the_files_beside_it(write_t1, writer, missing, told):
    write_t1(change=lambda slices: slices[:7] + slices[7 + missing :])
    line = refusal(writer.folder)
    assert told in line
    assert "0006.dcm" in line
    assert "0007.dcm" in line


def test_every_other_slice_alone_is_refused(write_t1, writer):
    write_t1(change=itemgetter(slice(None, None, 2)), SpacingBetweenSlices="2")
    assert "1 of 2 are missing" in refusal(writer.folder)


def test_two_slices_at_one_place_are_refused(write_t1, writer):
    write_t1(change=lambda slices: [*slices, slices[5]])
    assert "001/0005.dcm and 001/0016.dcm: two slices at one place" in refusal(writer.folder)


@pytest.mark.parametrize(
    ("keyword", "value", "told"),
    [
        ("ImageOrientationPatient", [0, 1, 0, 0, 0, -1], "mixed orientations"),
        ("PixelSpacing", [1.0, 1.0], "mixed pixel spacing"),
        ("ImagePositionPatient", [5, 5, -17], "mm beside the stack"),
        ("PixelSpacing", [0, 1], "makes no sense"),
        ("PixelSpacing", None, "PixelSpacing"),
        ("ImagePositionPatient", None, "ImagePositionPatient"),
        ("PhotometricInterpretation", "MONOCHROME1", "MONOCHROME1"),
    ],
)
def test_a_slice_unlike_the_others_is_refused_by_name(write_t1, writer, keyword, value, told):
    def change(slices):
        setattr(slices[7], keyword, value)
        return slices

    write_t1(change=change)
    line = refusal(writer.folder)
    assert told in line
    assert "0007.dcm" in line


def test_a_series_of_one_slice_is_refused(write_t1, writer):
    write_t1(change=itemgetter(slice(1)))
    assert "a single slice" in refusal(writer.folder)


def test_each_slice_is_rescaled_by_its_own_header(write_t1, writer, volumes):
    def change(slices):
        for index, one in enumerate(slices):
            one.RescaleSlope, one.RescaleIntercept = str(1 + index), "-3"
        return slices

    write_t1(change=change)
    slopes = 1 + np.arange(volumes["t1"].shape[2])
    np.testing.assert_array_equal(read_t1(writer.folder).values, volumes["t1"] * slopes - 3)


def test_run_lengths_are_decoded_to_the_same_voxels(write_t1, writer, volumes):
    for file in write_t1():
        one = dcmread(file)
        one.compress(RLELossless)
        one.save_as(file)
    np.testing.assert_array_equal(read_t1(writer.folder).voxels, volumes["t1"])


def test_a_compression_without_decoder_says_what_to_install(write_t1, writer):
    for file in write_t1():
        one = dcmread(file)
        one.compress(RLELossless)
        save(one, file, JPEGLosslessSV1)
    with pytest.raises(DatasetError, match=r"0000\.dcm: compressed as JPEG Lossless.*pip install"):
        read_t1(writer.folder)


def test_an_unknown_transfer_syntax_is_named(write_t1, writer):
    for file in write_t1():
        file.write_bytes(
            file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.7.1\0")
        )
    with pytest.raises(DatasetError, match=r"0000\.dcm: stored as 1.*export it uncompressed"):
        read_t1(writer.folder)


def test_a_file_that_ends_early_is_named(write_t1, writer):
    file = write_t1()[4]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=r"0004\.dcm: voxels cannot be read .* - copy"):
        read_t1(writer.folder)


@pytest.mark.parametrize("left", [0, 100, 150, 400, 700, 1000])
def test_a_damaged_header_is_named_in_one_line(write_t1, writer, left):
    file = write_t1()[-1]
    file.write_bytes(file.read_bytes()[:left])
    assert refusal(writer.folder).startswith("001/0015.dcm: ")


def test_what_is_no_scan_is_left_out_with_a_note(write_t1, writer, volumes):
    write_t1()
    picture = writer.make_slices(volumes["t1"])[0]
    picture.SOPClassUID = SecondaryCaptureImageStorage
    save(picture, writer.folder / "picture.dcm")
    writer.write(volumes["t1"], SeriesDescription="localizer_3plane")
    writer.write(volumes["t1"], SeriesDescription="T1", ImageType=["DERIVED", "PRIMARY", "MIP"])
    writer.write(volumes["t1"], SeriesDescription="ep2d_diff_b1000")
    (writer.folder / "readme.txt").write_text("of the CD")
    case = read_dicom_case(writer.folder)
    told = " | ".join(case.notes)
    assert list(case.series) == ["t1"]
    for reason in (
        "Secondary Capture",
        "localiser",
        "derived (mip)",
        "(ep2d)",
        "1 file left out: no D",
    ):
        assert reason in told


def test_two_patients_are_refused_and_not_named(write_t1, writer, volumes):
    write_t1()
    writer.patient = "Roe 2"
    writer.write(volumes["t2"], **HEADERS["t2"])
    line = refusal(writer.folder)
    assert "scans of 2 patients" in line
    assert "Roe" not in line


def test_two_visits_are_refused(write_t1, writer, volumes):
    write_t1()
    writer.study = generate_uid()
    writer.write(volumes["t2"], **HEADERS["t2"])
    assert "different studies" in refusal(writer.folder)


def test_a_description_that_its_times_contradict_is_asked_about(writer, volumes):
    writer.write(volumes["flair"], **HEADERS["flair"] | {"SeriesDescription": "t1 sag"})
    line = refusal(writer.folder)
    assert "--t1 1 or --flair 1" in line
    assert "TE 120, TR 9000, TI 2500 ms" in line
    assert list(read_dicom_case(writer.folder, choices={"flair": "1"}).series) == ["flair"]


def test_of_two_series_alike_one_has_to_be_chosen(writer, volumes):
    for plane in ("sag", "tra"):
        writer.write(volumes["t1ce"], SeriesDescription=f"T1 {plane} Gd")
    line = refusal(writer.folder)
    assert 'series 1 "T1 sag Gd", series 2 "T1 tra Gd" - choose, as by --t1ce 1' in line
    for choice in ("2", "t1 TRA gd"):
        case = read_dicom_case(writer.folder, choices={"t1ce": choice})
        assert case.mapping == {"t1ce": 'series 2 "T1 tra Gd" (16 slices)'}


def test_a_choice_that_fits_nothing_lists_the_series(write_t1, writer):
    write_t1()
    assert "no series '7', of series 1 \"T1 MPRAGE\"" in refusal(writer.folder, t1="7")
    assert "expected one of t1ce, t1, t2, flair" in refusal(writer.folder, pd="1")


@pytest.mark.parametrize(
    ("sequences", "header"),
    [
        ("t1", {"SeriesDescription": "t1_mprage_sag_p2_iso"}),
        ("t1", {"SeriesDescription": "AX T1 FLAIR", "EchoTime": 12, "RepetitionTime": 2500}),
        ("t1", {"SeriesDescription": "T1 SE without contrast"}),
        ("t1", {"SeriesDescription": "T1 pre-op"}),
        ("t1", {"SeriesDescription": "7", "EchoTime": 9, "RepetitionTime": 550}),
        ("t1", {"SeriesDescription": "7", "ProtocolName": "BRAVO"}),
        ("t1ce", {"SeriesDescription": "AX T1 POST GAD"}),
        ("t1ce", {"SeriesDescription": "t1_mpr_tra_KM"}),
        ("t1ce", {"SeriesDescription": "T1 3D +C"}),
        ("t1ce", {"SeriesDescription": "t1ce"}),
        ("t1ce", {"SeriesDescription": "post-op T1 Gd"}),
        ("t1ce", {"SeriesDescription": "T1 TFE", "ContrastBolusAgent": "Gadovist"}),
        ("t1", {"SeriesDescription": "T1 TFE", "ContrastBolusAgent": "NONE"}),
        ("t1 t1ce", {"SeriesDescription": "T1 pre", "ContrastBolusAgent": "Gadovist"}),
        ("t1 t1ce", {"SeriesDescription": "T1 W/WO contrast"}),
        ("t2", {"SeriesDescription": "t2_tse_tra", "ContrastBolusAgent": "Gadovist"}),
        ("t2", {"SeriesDescription": "7", "EchoTime": 95, "RepetitionTime": 4000}),
        ("flair", HEADERS["flair"] | {"SeriesDescription": "t2_spc_da-fl_sag_p2_iso"}),
        ("flair", {"SeriesDescription": "FLAIR", "EchoTime": 120, "RepetitionTime": 11000}),
        ("flair", {"SeriesDescription": "t2_tirm_tra_dark-fluid"}),
        ("t2 t1", {"SeriesDescription": "T2", "EchoTime": 3, "RepetitionTime": 8}),
        ("t1 flair", HEADERS["flair"] | {"SeriesDescription": "t1"}),
        ("", {"SeriesDescription": "T2* GRE"}),
        ("", {"SeriesDescription": "ADC (mm2/s)"}),
        ("", {"SeriesDescription": "T2 STIR"}),
        ("", {"SeriesDescription": "TOF 3D", "EchoTime": 3.5, "RepetitionTime": 22}),
        ("", {"SeriesDescription": "unnamed"}),
    ],
)  # fmt: skip
def test_a_header_tells_its_sequence_or_between_which_to_choose(sequences, header):
    dataset = Dataset()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    recognition = recognise_sequence(dataset)
    assert recognition.sequences == tuple(sequences.split())
    assert bool(recognition.reason) == (len(recognition.sequences) != 1)


def test_a_record_tells_the_series_and_one_hash_of_its_files_by_slice(write_t1, writer):
    def number_backwards(slices):
        return [*reversed(slices)]

    files = write_t1(change=number_backwards)
    told = read_dicom_case(writer.folder).series["t1"].describe()
    assert told["files"] == len(files)
    assert set(told["series"]) == {"number", "description"}
    joined = (b"".join(f.read_bytes() for f in order) for order in (files, files[::-1]))
    assert told["sha256"] in {hashlib.sha256(content).hexdigest() for content in joined}
    files[3].write_bytes(files[3].read_bytes() + b"\0")
    assert read_dicom_case(writer.folder).series["t1"].sha256 != told["sha256"]


def test_a_case_is_called_after_its_folder_and_tells_nothing_of_the_patient(
    writer, volumes, tmp_path
):
    writer.write_case(volumes)
    folder, case = convert_dicom(writer.folder, tmp_path / "into")
    assert case.name == folder.name == "visit 1"
    assert PATIENT not in str((case.mapping, case.notes))
    assert not any(PATIENT.encode() in file.read_bytes() for file in folder.iterdir())


def test_converted_series_pass_as_a_case_of_nifti(writer, volumes, tmp_path):
    writer.write_case(volumes)
    folder, _ = convert_dicom(writer.folder, tmp_path)
    dataset = find_dataset(folder)
    [found] = dataset.cases
    inspection = inspect_case(found, dataset=dataset)
    assert inspection.usable, inspection.findings
    assert list(inspection.scans) == list(SEQUENCES)
    for sequence, scan in inspection.scans.items():
        np.testing.assert_array_equal(scan.voxels, volumes[sequence])
        np.testing.assert_allclose(scan.affine, writer.affine, atol=1e-5)


def test_dicom_is_told_by_content(write_t1, writer, tmp_path):
    write_t1()
    (tmp_path / "nifti").mkdir()
    (tmp_path / "nifti" / "t1.nii").write_bytes(bytes(400))
    assert holds_dicom(writer.folder)
    assert not holds_dicom(tmp_path / "nifti")
    assert "no DICOM MR image (1 file left out: no DICOM)" in refusal(tmp_path / "nifti")


def test_without_pydicom_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert refusal(tmp_path) == "DICOM needs pydicom: pip install 'monai_kd[dicom]'"


def test_a_check_of_a_folder_of_dicom_says_what_to_do(tmp_path):
    Writer(tmp_path / "P1").write_case(draw_volumes())
    with pytest.raises(DatasetError, match=r"it holds DICOM: convert it, .*predict reads it"):
        find_dataset(tmp_path)
