"""From a download in any layout to what a network is trained on."""

import pytest
import torch

from data_prep import voxelise_cases, write_datalist, write_phantoms
from data_prep.datalist import Split
from data_prep.phantom import LAYOUTS
from monai_kd.data import LabelToRegionsd, LoadVoxelsd, read_datalist, read_dataset, read_task

REGIONS = ("TC", "WT", "ET")
MODALITIES = ("t1ce", "t1", "t2", "flair")


@pytest.fixture(scope="module")
def read_layout(tmp_path_factory):
    """Write the same two phantoms in a layout; return image and regions of each."""

    def read(layout):
        folder = tmp_path_factory.mktemp(layout)
        cases = write_phantoms(folder / "made", cases=2, size=32, layout=layout, workers=1)
        labels = "brats2024" if layout == "brats2024" else None
        voxels = voxelise_cases(cases, voxels_root=folder, labels=labels, workers=1)
        split = Split(test_fraction=0.0, folds=2)
        listed = write_datalist(voxels, output_file=folder / "dataset.json", split=split)
        task = read_task(read_dataset(listed)["task"])
        assert (task.channels, tuple(task.outputs)) == (MODALITIES, REGIONS)
        parts = [read_datalist(listed, part=part)[0] for part in ("training", "validation")]
        cut = LabelToRegionsd("label", task.outputs)
        loaded = [cut(LoadVoxelsd(["image", "label"])(record)) for record in parts]
        return sorted(loaded, key=lambda case: case["case"])

    return read


@pytest.fixture(scope="module")
def source(read_layout):
    return read_layout("brats2019")


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_every_layout_gives_the_same_image_and_regions(read_layout, source, layout):
    for found, expected in zip(read_layout(layout), source, strict=True):
        for key in ("image", "label"):
            assert torch.equal(found[key].as_tensor(), expected[key].as_tensor())
            assert torch.equal(found[key].affine, expected[key].affine)
