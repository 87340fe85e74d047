import hashlib
import json

import nibabel
import numpy as np
import pytest

from data_prep import DatasetError, write_phantoms
from data_prep.brats.labels import BRATS2021
from data_prep.brats.sequences import SEQUENCES
from data_prep.layouts import find_dataset
from data_prep.phantom import LAYOUTS
from data_prep.phantom.case import PhantomCase, make_volumes
from data_prep.scans import read_scan

CASES = 4  # the last of them is of low grade
SIZE = 32
SCHEMES = {
    "brats2019": "brats2021",
    "brats2019-flat": "brats2021",
    "brats2023": "brats2023",
    "brats2024": "brats2024",
    "msd": "msd",
    "nnunet": "brats2023",
    "bids": "brats2023",
}


@pytest.fixture(scope="module")
def sources():
    return [make_volumes(PhantomCase(0, number, (SIZE,) * 3)) for number in range(CASES)]


@pytest.fixture(scope="module", params=LAYOUTS)
def dataset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts") / request.param
    write_phantoms(folder, cases=CASES, size=SIZE, layout=request.param, workers=1)
    labels = "brats2024" if request.param == "brats2024" else None
    return find_dataset(folder, labels=labels)


def _digests(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_each_layout_is_recognised_without_a_finding(dataset):
    assert len(dataset.cases) == CASES
    assert dataset.findings == ()
    assert dataset.modalities == SEQUENCES
    assert dataset.scheme.name == SCHEMES[dataset.root.name]


def test_each_layout_gives_the_regions_of_the_source(dataset, sources):
    for case, source in zip(dataset.cases, sources, strict=True):
        label = read_scan(case.label).values
        for region, values in dataset.scheme.regions.items():
            expected = np.isin(source["seg"], BRATS2021.regions[region])
            assert (np.isin(label, values) == expected).all()


def test_each_layout_gives_the_modalities_of_the_source(dataset, sources):
    for case, source in zip(dataset.cases, sources, strict=True):
        assert tuple(case.images) == SEQUENCES
        for modality, image in case.images.items():
            scan = read_scan(image.path)
            volume = scan if image.channel is None else scan.take_channel(image.channel)
            assert (volume.values == source[modality]).all()


def test_labels_hold_the_values_of_their_scheme_and_no_other(dataset):
    found = {int(v) for case in dataset.cases for v in np.unique(read_scan(case.label).values)}
    assert found == {0, *dataset.scheme.labels}


def test_the_mapping_names_patterns_and_meaning(dataset):
    assert tuple(dataset.mapping) == (*SEQUENCES, "labels")
    assert str(dataset.scheme) in dataset.mapping["labels"]


def test_a_resection_cavity_lies_in_the_brain_beside_the_tumour(tmp_path, sources):
    folder = write_phantoms(tmp_path / "p", cases=2, size=SIZE, layout="brats2024", workers=1)
    for case, source in zip(find_dataset(folder).cases, sources, strict=False):
        cavity = read_scan(case.label).values == 4
        assert cavity.any()
        assert (source["t1"][cavity] > 0).all()
        assert not source["seg"][cavity].any()


def test_uncompressed_files_hold_the_same_voxels(tmp_path, sources):
    folder = write_phantoms(tmp_path / "p", cases=1, size=SIZE, layout="msd", compressed=False)
    file = folder / "imagesTr" / "BRATS_001.nii"
    assert (np.asanyarray(nibabel.load(file).dataobj)[..., 2] == sources[0]["t1ce"]).all()
    listed = json.loads((folder / "dataset.json").read_text())["training"]
    assert listed == [{"image": "./imagesTr/BRATS_001.nii", "label": "./labelsTr/BRATS_001.nii"}]
    assert len(find_dataset(folder).cases) == 1


@pytest.mark.parametrize("layout", ["msd", "bids"])
def test_a_lost_file_of_any_kind_comes_back(layout, tmp_path):
    folder = tmp_path / layout
    before = _digests(write_phantoms(folder, cases=2, size=SIZE, layout=layout, workers=1))
    lost = ["dataset.json", "labelsTr/BRATS_001.nii.gz", "derivatives/expert/dseg.tsv"]
    for name in lost:
        (folder / name).unlink(missing_ok=True)
    write_phantoms(folder, cases=2, size=SIZE, layout=layout, workers=1)
    assert _digests(folder) == before


def test_workers_write_the_same_bytes_in_another_layout(tmp_path):
    one, two = (
        write_phantoms(tmp_path / str(n), cases=2, size=SIZE, layout="nnunet", workers=n)
        for n in (1, 2)
    )
    assert _digests(one) == _digests(two)


def test_layouts_are_not_mixed_in_a_folder(phantoms):
    with pytest.raises(DatasetError, match="layout brats2019 not msd"):
        write_phantoms(phantoms, cases=8, size=SIZE, layout="msd")
    with pytest.raises(DatasetError, match="compressed True not False"):
        write_phantoms(phantoms, cases=8, size=SIZE, compressed=False)


def test_a_folder_from_before_there_were_layouts_is_still_complete(own_phantoms):
    note = own_phantoms / "phantoms.json"
    old = {"cases": 8, "generator": 1, "seed": 0, "size": [SIZE] * 3}
    note.write_text(json.dumps(old))
    write_phantoms(own_phantoms, cases=8, size=SIZE)
    assert json.loads(note.read_text()) == old


def test_an_unknown_layout_is_named_before_work(tmp_path):
    with pytest.raises(DatasetError, match=r"no layout 'brats' of phantoms, expected .*bids"):
        write_phantoms(tmp_path / "new", layout="brats")
    assert not (tmp_path / "new").exists()


def test_grades_apart_or_not_the_files_are_the_same(tmp_path, phantoms):
    flat = write_phantoms(tmp_path / "p", cases=1, size=SIZE, layout="brats2019-flat")
    case = "BraTS19_PHANTOM_001_1"
    assert _digests(flat / case) == _digests(phantoms / "HGG" / case)
