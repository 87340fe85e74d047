import nibabel
import numpy as np
import pytest
import scipy

from data_prep.scans.grid import Grid
from monai_kd.inference.results.lesions import SPECK_ML, find_lesions

SHAPE = (20, 24, 28)


@pytest.fixture
def grid():
    return Grid(SHAPE, np.diag([1.0, 2.0, 3.0, 1.0]) + np.array([[0, 0, 0, -5.0]] * 3 + [[0] * 4]))


def _mask(*boxes):
    mask = np.zeros(SHAPE, dtype=bool)
    for low, high in boxes:
        mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def test_an_empty_region_has_no_lesion(grid):
    assert find_lesions({"WT": _mask()}, grid) == []


def test_a_block_is_told_by_its_edges_and_centre(grid):
    (lesion,) = find_lesions({"WT": _mask(((2, 4, 6), (6, 8, 10)))}, grid)
    assert lesion.box_voxels == ((2, 6), (4, 8), (6, 10))
    assert lesion.box_mm == ((-3.5, 0.5), (2.0, 10.0), (11.5, 23.5))
    assert lesion.centre_mm == pytest.approx((-1.5, 6.0, 17.5))
    assert lesion.volume_ml == pytest.approx(4**3 * 6 / 1000)


def test_parts_that_share_a_corner_are_one_lesion(grid):
    touching = _mask(((2, 2, 2), (6, 6, 6)), ((6, 6, 6), (9, 9, 9)))
    apart = _mask(((2, 2, 2), (6, 6, 6)), ((7, 7, 7), (10, 10, 10)))
    assert [len(find_lesions({"WT": mask}, grid)) for mask in (touching, apart)] == [1, 2]


def test_lesions_are_ordered_by_volume_within_each_region(grid):
    mask = _mask(((1, 1, 1), (4, 4, 4)), ((8, 8, 8), (13, 13, 13)), ((15, 15, 15), (19, 19, 19)))
    found = find_lesions({"WT": mask, "TC": mask}, grid)
    assert [lesion.region for lesion in found] == ["WT"] * 3 + ["TC"] * 3
    volumes = [lesion.volume_ml for lesion in found[:3]]
    assert volumes == sorted(volumes, reverse=True)


def test_specks_are_left_out(grid):
    speck = _mask(((1, 1, 1), (3, 3, 3)))
    assert np.count_nonzero(speck) * 6 / 1000 < SPECK_ML
    assert find_lesions({"WT": speck}, grid) == []


def test_confidence_is_the_mean_probability_inside(grid):
    mask = _mask(((2, 2, 2), (6, 6, 6)))
    logits = np.where(mask, np.log(3), -5).astype(np.float32)  # 3 to 1

    def measure(output, box, inside):
        return float(scipy.special.expit(logits[box][inside]).mean())

    (lesion,) = find_lesions({"WT": mask}, grid, measure_confidence=measure)
    assert lesion.confidence == pytest.approx(0.75)
    assert find_lesions({"WT": mask}, grid)[0].confidence is None


def test_an_oblique_box_holds_every_voxel(grid):
    turn = nibabel.eulerangles.euler2mat(z=0.5)
    oblique = Grid(SHAPE, nibabel.affines.from_matvec(turn * 2, [3, 2, 1]))
    mask = _mask(((2, 4, 6), (9, 8, 10)))
    (lesion,) = find_lesions({"WT": mask}, oblique)
    places = nibabel.affines.apply_affine(oblique.affine, np.argwhere(mask))
    low, high = np.array(lesion.box_mm).T
    assert (places > low).all()
    assert (places < high).all()


@pytest.mark.parametrize("turn", [((0, -1), (1, 1), (2, 1)), ((2, -1), (0, 1), (1, -1))])
def test_a_box_counts_in_the_voxels_of_the_mask_that_is_written(grid, turn):
    mask = _mask(((2, 4, 6), (7, 9, 10)))
    cut = (slice(1, 12), slice(3, 20), slice(2, 20))
    whole = nibabel.Nifti1Image(mask.astype(np.uint8), grid.affine).as_reoriented(np.array(turn))
    stored = Grid(whole.shape, whole.affine)
    (lesion,) = find_lesions({"WT": mask[cut]}, grid.cut(cut), stored)
    inside = tuple(slice(low, high) for low, high in lesion.box_voxels)
    assert np.asarray(whole.dataobj)[inside].all()
    assert np.asarray(whole.dataobj).sum() == np.prod(
        [high - low for low, high in lesion.box_voxels]
    )


def test_a_box_on_other_voxels_holds_the_lesion_and_stays_within(grid):
    fine = Grid((30, 30, 30), grid.affine @ np.diag([0.7, 0.7, 0.7, 1]))
    (lesion,) = find_lesions({"WT": _mask(((0, 2, 2), (9, 6, 20)))}, grid, fine)
    low, high = np.array(lesion.box_voxels).T
    np.testing.assert_array_equal(low, [0, 2, 2])
    np.testing.assert_array_equal(high, [13, 9, 29])
