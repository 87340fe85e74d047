"""What MONAI's own test of bundles, MONAI Label and MONAI Deploy call on a bundle."""

import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.inferers import SlidingWindowInferer
from monai.transforms import Compose, SaveImaged

from tests.export.test_bundle_alone import make_scan, save_case


@pytest.fixture
def own(bundle, tmp_path, monkeypatch):
    """A copy of the bundle without input, whose scripts can be imported."""
    left = shutil.ignore_patterns("input", "output")  # of a test of the same bundle
    copy = Path(shutil.copytree(bundle, tmp_path / "own", ignore=left))
    for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(copy)
    return copy


def open_config(bundle):
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    parser["bundle_root"] = str(bundle)
    return parser


def list_masks(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*_seg.nii.gz"))


def test_the_body_of_the_test_of_bundles_in_monai_passes(own, tmp_path):
    save_case(make_scan(storage="LPS"), tmp_path / "scans")
    inferer = ConfigWorkflow(
        str(own / "configs" / "inference.json"),
        meta_file=str(own / "configs" / "metadata.json"),
        logging_file=str(own / "configs" / "logging.conf"),
        workflow_type="infer",
        bundle_root=str(own),
        output_dir=str(tmp_path / "out"),
    )
    inferer.initialize()
    assert inferer.check_properties() == []
    assert isinstance(inferer.preprocessing, Compose)
    assert isinstance(inferer.postprocessing, Compose)
    assert isinstance(inferer.inferer, SlidingWindowInferer)
    network = inferer.network_def
    inferer.bundle_root = str(own)
    inferer.device = torch.device("cpu")
    inferer.network_def = network
    inferer.dataset_data = [{"image": str(tmp_path / "scans" / "scan4d.nii.gz")}]
    inferer.initialize()
    inferer.run()
    inferer.finalize()
    (mask,) = list_masks(tmp_path)
    assert mask.parts[0] == "out"


def test_monai_label_parses_all_it_wants_before_any_scan_exists(own, tmp_path):
    save_case(make_scan(storage="LPS"), tmp_path / "scans")
    parser = open_config(own)
    parser["device"] = "cpu"
    item = {"image": str(tmp_path / "scans" / "scan4d.nii.gz")}
    before = parser.get_parsed_content("preprocessing", instantiate=True)
    after = parser.get_parsed_content("postprocessing", instantiate=True)
    steps = [step for step in after.transforms if not isinstance(step, SaveImaged)]
    assert len(steps) == len(after.transforms) - 1
    network = parser.get_parsed_content("network_def", instantiate=True).eval()
    network.load_state_dict(torch.load(own / "models" / "model.pt", weights_only=True))
    inferer = parser.get_parsed_content("inferer", instantiate=True)
    prepared = before(item)
    with torch.no_grad():
        prepared["pred"] = inferer(prepared["image"][None], network)[0]
    found = Compose(steps)(prepared)["pred"]
    assert found.shape == (1, *nibabel.load(item["image"]).shape[:3])
    assert set(np.unique(found)) == {0, 1, 2, 3}


def test_monai_deploy_gets_its_device_where_scripts_cannot_be_imported(own, monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(own)])
    parser = open_config(own)
    assert isinstance(parser.get_parsed_content("device"), torch.device)
    inferer = parser.get_parsed_content("inferer")
    answer = inferer(inputs=torch.zeros(1, 1, 32, 32, 32), network=torch.nn.Identity())
    assert answer.shape == (1, 1, 32, 32, 32)


def test_a_data_set_that_is_given_in_place_of_the_list_is_saved_in_the_output_folder(own, tmp_path):
    cases = [tmp_path / patient / "scan4d.nii.gz" for patient in ("P1", "P2")]
    for case in cases:
        save_case(make_scan(storage="LPS"), case.parent)
    workflow = ConfigWorkflow(
        str(own / "configs" / "inference.json"),
        workflow_type="infer",
        logging_file=False,
        bundle_root=str(own),
        output_dir=str(tmp_path / "out"),
        **{"dataset#data": [{"image": str(case)} for case in cases]},
    )
    workflow.initialize()
    workflow.run()
    masks = list_masks(tmp_path)
    assert len(masks) == 2
    assert {mask.parts[0] for mask in masks} == {"out"}
