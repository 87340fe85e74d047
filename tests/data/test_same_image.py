"""Training reads what data_prep has made; inference prepares a scan itself. Both see one image."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from nibabel.affines import from_matvec
from scipy.spatial.transform import Rotation

from data_prep import voxelise_cases
from data_prep.scans import measure, normalise, read_scan
from monai_kd.data.voxels import read_block
from monai_kd.inference.segmenting.preparation import prepare_image
from monai_kd.inference.transforms import NormalizeBraind

SOURCE = Path(__file__).parents[2] / "bundles" / "preprocessing.yaml"
NAMES = ("t1ce", "t1", "t2", "flair", "seg")


@pytest.fixture
def scan(phantoms_of_this_room, tmp_path):
    """Write one case again with other voxel sizes, axes and values; return its folder."""
    (source, *_) = sorted(phantoms_of_this_room.glob("HGG/*"))

    def write(spacing, angles, shift):
        folder = tmp_path / "scans" / source.name
        folder.mkdir(parents=True)
        turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        for path in source.iterdir():
            image = nibabel.load(path)
            voxels = np.asarray(image.dataobj)
            if "_seg" not in path.name:
                voxels = voxels + shift * (voxels != 0)
            affine = from_matvec(turn @ image.affine[:3, :3] @ np.diag(spacing), (3, 4, 5))
            nibabel.save(nibabel.Nifti1Image(voxels.astype(np.int16), affine), folder / path.name)
        return folder

    return write


@pytest.mark.parametrize("shift", [0, -300])
@pytest.mark.parametrize("angles", [(0, 0, 0), (12, -7, 20)])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (1.5, 1, 2), (0.7, 0.7, 0.7)])
def test_training_and_inference_see_the_same_image(scan, tmp_path, spacing, angles, shift):
    folder = scan(spacing, angles, shift)
    voxels = voxelise_cases(folder.parent, voxels_root=tmp_path, workers=1)
    trained = read_block(next(voxels.glob("*/image.b2nd")))
    parser = ConfigParser(ConfigParser.load_config_file(SOURCE))
    files = [str(folder / f"{folder.name}_{name}.nii.gz") for name in NAMES[:4]]
    seen = Compose(parser.get_parsed_content("image"))({"image": files})["image"]
    torch.testing.assert_close(seen.affine, trained.affine)
    torch.testing.assert_close(seen.as_tensor(), trained.as_tensor(), atol=0.01, rtol=0)
    scans = {name: read_scan(file) for name, file in zip(NAMES, files, strict=False)}
    options = {"modalities": NAMES[:4], "spacing_mm": (1.0, 1.0, 1.0), "divisor": 1}
    predicted = torch.from_numpy(prepare_image(scans, **options).image)
    torch.testing.assert_close(predicted, trained.as_tensor(), atol=1e-6, rtol=0)


def test_both_normalise_by_the_same_rule():
    values = np.random.default_rng(0).integers(-50, 900, (1, 12, 12, 12)).astype(np.int16)
    values[:, :3] = 0
    image = torch.from_numpy(values.astype(np.float32))
    seen = NormalizeBraind("image")({"image": image})["image"]
    torch.testing.assert_close(seen[0], torch.from_numpy(normalise(values[0], measure(values[0]))))
