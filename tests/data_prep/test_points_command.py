import nibabel
import numpy as np
import pytest
from nibabel.affines import from_matvec

from data_prep.__main__ import main
from data_prep.layouts import find_dataset
from data_prep.point_cloud import PointCloud, cloud_of_voxels, read_cloud, write_cloud
from data_prep.scans.store import read_array, write_array
from data_prep.voxels import voxelise


@pytest.fixture(scope="module")
def case(phantoms, tmp_path_factory):
    out = tmp_path_factory.mktemp("voxels") / "out"
    voxelise(find_dataset(phantoms / "LGG"), out, workers=1)
    return min(path for path in out.iterdir() if path.is_dir())


@pytest.fixture
def cloud_file(tmp_path):
    positions = np.array([[1.0, 2, 3], [1.2, 2, 3], [90, 0, 0]])
    cloud = PointCloud(positions, np.array([[10.0, 2], [20, 2], [5, 1]]), ("t1", "label"))
    write_cloud(tmp_path / "cloud.npz", cloud)
    return tmp_path / "cloud.npz"


def scan_at(path, shape=(4, 5, 6), affine=None):
    own = np.eye(4) if affine is None else affine
    image = nibabel.Nifti1Image(np.ones(shape, np.int16), None)
    image.header.set_sform(own, code=1)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("ending", [".ply", ".npz"])
def test_a_case_becomes_a_cloud_and_the_same_voxels_again(case, tmp_path, capsys, ending):
    cloud, out = tmp_path / f"case{ending}", tmp_path / "out"
    assert main(["points", str(case), str(cloud)]) == 0
    assert main(["points", str(cloud), str(out), "--like", str(case)]) == 0
    names, points = cloud_of_voxels(case)[0].names, len(read_cloud(cloud).values)
    image, label = (read_array(case / f"{name}.b2nd")[0] for name in ("image", "label"))
    for name, channel in zip(names, [*image, label], strict=True):
        assert np.array_equal(nibabel.load(out / f"{name}.nii").dataobj, channel)
    assert capsys.readouterr().out == (
        f"{points} points with t1ce, t1, t2, flair, label in {cloud}\n"
        f"t1ce, t1, t2, flair, label of {points} points (0 outside the grid) in {out}\n"
    )


def test_voxels_lie_on_the_grid_of_the_scan_as_it_is_stored(cloud_file, tmp_path, capsys):
    affine = from_matvec(np.diag([-1, 1, 2]), (3, 0, 1))
    like, out = scan_at(tmp_path / "t1.nii.gz", affine=affine), tmp_path / "out"
    assert main(["points", str(cloud_file), str(out), "--like", str(like)]) == 0
    written = nibabel.load(out / "t1.nii")
    assert np.array_equal(written.affine, affine)
    assert written.shape == (4, 5, 6)
    assert written.get_fdata()[2, 2, 1] == written.get_fdata().sum() == 15
    assert nibabel.load(out / "label.nii").get_fdata()[2, 2, 1] == 2
    assert "2 points (1 outside the grid)" in capsys.readouterr().out


def test_a_scan_is_never_replaced(cloud_file, tmp_path, capsys):
    like = scan_at(tmp_path / "t1.nii")
    content = like.read_bytes()
    assert main(["points", str(cloud_file), str(tmp_path), "--like", str(like)]) == 2
    assert "t1.nii exists" in capsys.readouterr().err
    assert like.read_bytes() == content


def test_a_channel_never_leads_out_of_the_folder(tmp_path, capsys):
    write_cloud(tmp_path / "c.npz", PointCloud(np.zeros((1, 3)), np.ones((1, 1)), ("../t1",)))
    like = scan_at(tmp_path / "like.nii")
    assert main(["points", str(tmp_path / "c.npz"), str(tmp_path / "o"), "--like", str(like)]) == 2
    assert "lies elsewhere" in capsys.readouterr().err
    assert not (tmp_path / "t1.nii").exists()


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        ("CASE cloud.obj", r"cloud.obj: expected a point cloud that ends in .npz or .ply"),
        ("absent cloud.ply", "absent is not a case folder written by `voxelise`\n"),
        ("cloud.npz out", "cloud.npz is not a case folder written by `voxelise`; to convert"),
        ("cloud.npz out --like .", ". is not a case folder written by `voxelise`"),
        ("absent.ply out --like flat.nii", "absent.ply"),
        ("cloud.npz out --like absent.nii", "absent.nii: No such file"),
        ("cloud.npz out --like 4d.nii", "4d.nii: expected one 3D volume"),
        ("cloud.npz out --like flat.nii", "flat.nii: expected one 3D volume"),
    ],
)
def test_what_cannot_be_converted_is_one_line(
    case, cloud_file, capsys, monkeypatch, words, reported
):
    monkeypatch.chdir(cloud_file.parent)
    scan_at("4d.nii", (2, 2, 2, 2))
    scan_at("flat.nii", affine=np.diag([1, 1, 0, 1]))
    assert main(["points", *words.replace("CASE", str(case)).split()]) == 2
    error = capsys.readouterr().err
    assert reported in error
    assert error.count("\n") == 1


def test_a_name_that_ply_cannot_hold_is_refused(tmp_path, capsys):
    metadata = {"affine": np.eye(4).tolist(), "modalities": ["late t1"]}
    write_array(tmp_path / "image.b2nd", np.ones((1, 2, 2, 2), np.int16), metadata=metadata)
    assert main(["points", str(tmp_path), str(tmp_path / "cloud.ply")]) == 2
    assert "'late t1', which PLY does not allow; use .npz" in capsys.readouterr().err
