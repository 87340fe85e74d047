"""Training reads what data_prep made, predict and a bundle prepare a scan: all see one image."""

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
from monai_kd.inference.transforms import NormalizeForegroundd

SOURCE = Path(__file__).parents[2] / "bundles" / "preprocessing.yaml"
NAMES = ("t1ce", "t1", "t2", "flair")


@pytest.fixture
def write_scan(phantoms_of_this_room, tmp_path):
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
def test_training_predict_and_bundle_see_one_image(write_scan, tmp_path, spacing, angles, shift):
    folder = write_scan(spacing, angles, shift)
    voxels = voxelise_cases(folder.parent, voxels_root=tmp_path, workers=1)
    trained = read_block(next(voxels.glob("*/image.b2nd")))
    files = {name: folder / f"{folder.name}_{name}.nii.gz" for name in NAMES}
    scans = {name: read_scan(file) for name, file in files.items()}
    own = prepare_image(scans, modalities=NAMES, spacing_mm=(1.0, 1.0, 1.0), divisor=1)
    parser = ConfigParser(ConfigParser.load_config_file(SOURCE))
    images = {"image": [str(file) for file in files.values()]}
    theirs = Compose(parser.get_parsed_content("image"))(images)["image"]
    for affine in (own.grid.cut(own.box).affine, theirs.affine):
        np.testing.assert_allclose(affine, trained.affine, atol=1e-5)
    np.testing.assert_allclose(own.image, trained, atol=1e-6, rtol=0)
    np.testing.assert_allclose(theirs, trained, atol=0.01, rtol=0)


def test_a_bundle_normalises_by_the_same_rule():
    values = np.random.default_rng(0).integers(-50, 900, (1, 12, 12, 12)).astype(np.int16)
    values[:, :3] = 0
    image = torch.from_numpy(values.astype(np.float32))
    seen = NormalizeForegroundd("image")({"image": image})["image"]
    torch.testing.assert_close(seen[0], torch.from_numpy(normalise(values[0], measure(values[0]))))
