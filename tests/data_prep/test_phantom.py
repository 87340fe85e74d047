import numpy as np
import pytest
from scipy import ndimage

from data_prep.brats.sequences import SEQUENCES
from data_prep.phantom.anatomy import grow_anatomy
from data_prep.phantom.case import PhantomCase, make_volumes
from data_prep.phantom.contrast import render
from data_prep.phantom.tumour import grow_tumour

SHAPE = (48, 48, 48)


@pytest.fixture(scope="module")
def anatomy():
    return grow_anatomy(np.random.Generator(np.random.PCG64(1)), SHAPE)


@pytest.fixture(scope="module")
def tumour(anatomy):
    return grow_tumour(np.random.Generator(np.random.PCG64(2)), anatomy, enhancing=True)


@pytest.fixture(scope="module")
def scans(anatomy, tumour):
    rng = np.random.Generator(np.random.PCG64(3))
    return [render(rng, anatomy, tumour) for _ in range(6)]


@pytest.fixture(scope="module")
def level(scans, anatomy, tumour):
    """Mean signal of a modality over the voxels of one tissue, over six scanners; white is 1."""
    healthy = anatomy.brain & (tumour.oedema + tumour.core + tumour.lesions + anatomy.plexus == 0)
    pure = {kind: healthy & (getattr(anatomy, kind) > 0.9) for kind in ("fluid", "grey", "white")}
    pure |= {"oedema": tumour.oedema > 0.9, "enhancing": tumour.enhancing > 0.9}
    pure["necrosis"] = tumour.core - tumour.enhancing > 0.9
    pure |= {"vessel": anatomy.brain & (anatomy.vessel > 0.5), "lesion": tumour.lesions > 0.5}
    pure["plexus"] = anatomy.plexus > 0.5

    def ratio(scan, kind):
        return scan[pure[kind]].mean() / scan[pure["white"]].mean()

    return lambda modality, kind: np.mean([ratio(scan[modality], kind) for scan in scans])


@pytest.fixture(scope="module")
def cases():
    return [make_volumes(PhantomCase(0, number, SHAPE)) for number in range(8)]


def test_tissues_add_up_to_one(anatomy):
    total = anatomy.fluid + anatomy.grey + anatomy.white
    np.testing.assert_allclose(total[anatomy.brain], 1, atol=1e-5)
    assert min(part.min() for part in (anatomy.fluid, anatomy.grey, anatomy.white)) >= -1e-6


def test_brain_is_one_piece_that_fills_a_fifth_to_a_third(anatomy):
    assert 0.2 < anatomy.brain.mean() < 0.33
    assert ndimage.label(anatomy.brain)[1] == 1


def test_t1_orders_white_grey_fluid(level):
    assert level("t1", "white") > level("t1", "grey") > level("t1", "fluid")


def test_t2_orders_fluid_grey_white(level):
    assert level("t2", "fluid") > level("t2", "grey") > level("t2", "white")


def test_flair_suppresses_fluid_and_shows_grey_above_white(level):
    assert level("flair", "grey") > level("flair", "white") > 1.5 * level("flair", "fluid")


def test_oedema_is_bright_on_t2_and_flair_and_dark_on_t1(level):
    assert all(level(kind, "oedema") > level(kind, "grey") for kind in ("t2", "flair"))
    assert level("t1", "oedema") < level("t1", "white")


def test_rim_is_bright_on_t1ce_only_and_necrosis_dark(level):
    assert level("t1ce", "enhancing") > 1.1 * level("t1ce", "white") > level("t1ce", "necrosis")
    assert level("t1", "enhancing") < level("t1", "white")
    assert level("t2", "necrosis") > level("t2", "grey")


def test_distractors_look_like_tumour(level):
    assert level("flair", "lesion") > level("flair", "grey")
    assert all(level("t1ce", kind) > level("t1ce", "grey") for kind in ("vessel", "plexus"))


def test_lesions_and_plexus_bear_no_label(anatomy, tumour):
    assert (tumour.lesions > 0.5).sum() > 5
    assert not tumour.label[tumour.lesions > 0.5].any()
    assert not tumour.label[anatomy.plexus > 0.75].any()


def test_background_is_zero_in_all_modalities_alike(cases):
    for case in cases:
        brains = [case[modality] > 0 for modality in SEQUENCES]
        assert all((brain == brains[0]).all() for brain in brains)
        assert not case["seg"][~brains[0]].any()


def test_only_high_grade_enhances(cases):
    found = [np.unique(case["seg"]).tolist() for case in cases]
    expected = [PhantomCase(0, number, SHAPE).grade for number in range(8)]
    assert expected.count("LGG") == 2
    assert found == [[0, 1, 2, 4] if grade == "HGG" else [0, 1, 2] for grade in expected]


def test_tumours_are_of_a_size_that_dice_can_judge(cases):
    whole = np.array([(case["seg"] > 0).sum() / (case["t1"] > 0).sum() for case in cases])
    core = np.array(
        [np.isin(case["seg"], (1, 4)).sum() / (case["seg"] > 0).sum() for case in cases]
    )
    assert whole.min() > 0.02
    assert 0.04 < whole.mean() < 0.11
    assert core.min() > 0.28
    assert core.max() < 0.6


def test_oedema_does_not_enter_the_ventricles(anatomy, tumour):
    assert not tumour.label[anatomy.ventricle > 0.75].any()


def test_oedema_prefers_white_matter(anatomy, tumour):
    oedema = tumour.label == 2
    near = ndimage.binary_dilation(tumour.label > 0, iterations=3) & anatomy.brain
    assert anatomy.white[oedema].mean() > 1.1 * anatomy.white[near].mean()


def test_no_threshold_on_flair_finds_the_tumour(cases):
    scores = [_best_threshold_dice(case["flair"], case["seg"] > 0) for case in cases]
    assert np.mean(scores) < 0.75


def test_intensities_differ_between_scanners(cases):
    means = [case["t1"][case["t1"] > 0].mean() for case in cases]
    assert max(means) > 1.5 * min(means)


def test_a_case_depends_on_seed_and_number_alone(cases):
    again = make_volumes(PhantomCase(0, 5, SHAPE))
    assert all((again[kind] == cases[5][kind]).all() for kind in again)
    other = make_volumes(PhantomCase(1, 5, SHAPE))
    assert (other["t1"] != cases[5]["t1"]).any()


def test_a_box_holds_a_brain_of_its_shortest_side():
    brain = make_volumes(PhantomCase(0, 0, (48, 56, 40)))["t1"] > 0
    assert brain.shape == (48, 56, 40)
    assert 0.2 < brain.sum() / 40**3 < 0.33


def _best_threshold_dice(image, truth):
    cuts = np.percentile(image[image > 0], np.arange(50, 100, 2))
    return max(2 * ((image > c) & truth).sum() / ((image > c).sum() + truth.sum()) for c in cuts)
