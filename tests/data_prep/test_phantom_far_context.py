import hashlib

import numpy as np
import pytest
from scipy import ndimage

from data_prep import DatasetError, write_phantoms
from data_prep.__main__ import main
from data_prep.brats.sequences import SEQUENCES
from data_prep.phantom.anatomy import grow_anatomy
from data_prep.phantom.case import PhantomCase, make_volumes
from data_prep.phantom.contrast import render
from data_prep.phantom.far_context import grow_ring_lesions

SHAPE = (48, 48, 48)
PAIRS = 12


def draw(number, *, metastatic):
    """One body, one scanner, one draw of the disease: alone or with its twin."""
    streams = [np.random.Generator(np.random.PCG64([part, number])) for part in range(3)]
    anatomy = grow_anatomy(streams[0], SHAPE)
    tumour = grow_ring_lesions(streams[1], anatomy, metastatic=metastatic)
    return tumour, render(streams[2], anatomy, tumour)


@pytest.fixture(scope="module")
def pairs():
    """Each as a glioma and as a metastasis."""
    numbers = range(PAIRS)
    return [(draw(n, metastatic=False), draw(n, metastatic=True)) for n in numbers]


def half_of(tumour):
    """The hemisphere that holds the solitary lesion, three voxels from the midline and more."""
    halves = np.s_[: SHAPE[0] // 2 - 3], np.s_[SHAPE[0] // 2 + 3 :]
    return max(halves, key=lambda half: tumour.core[half].sum())


def second_alone(glioma, metastasis):
    """Core of the twin, the one lesion that the glioma lacks."""
    return (metastasis.core > 0.5) & (glioma.core <= 0.5)


def test_a_hemisphere_with_one_lesion_is_the_same_voxel_for_voxel_in_both_types(pairs):
    for (glioma, alone), (_, with_twin) in pairs:
        half = half_of(glioma)
        assert all((alone[kind][half] == with_twin[kind][half]).all() for kind in SEQUENCES)


def test_only_the_other_hemisphere_tells_the_types_apart(pairs):
    for (glioma, alone), (_, with_twin) in pairs:
        elsewhere = np.ones(SHAPE, dtype=bool)
        elsewhere[half_of(glioma)] = False
        assert (alone["t1ce"] != with_twin["t1ce"])[elsewhere].any()


def test_a_lesion_and_its_twin_have_the_same_distribution_of_size(pairs):
    sizes = [((g.core > 0.5).sum(), second_alone(g, m).sum()) for (g, _), (m, _) in pairs]
    difference = np.subtract(*np.array(sizes).T)
    assert abs(difference.mean()) < 3 * difference.std(ddof=1) / np.sqrt(PAIRS)


def test_a_solitary_lesion_lies_in_either_hemisphere(pairs):
    assert {half_of(glioma).start for (glioma, _), _ in pairs} == {None, SHAPE[0] // 2 + 3}


def test_lesions_of_a_pair_lie_far_apart(pairs):
    for (glioma, _), (metastasis, _) in pairs:
        first, second = (
            np.array(ndimage.center_of_mass(core))
            for core in (glioma.core > 0.5, second_alone(glioma, metastasis))
        )
        assert np.linalg.norm(first - second) > 0.5 * SHAPE[0] / 2


def test_a_glioma_is_labelled_in_full_and_metastases_not_at_all(pairs):
    for (glioma, _), (metastasis, _) in pairs:
        assert {2, 4} <= set(np.unique(glioma.label)) <= {0, 1, 2, 4}
        assert not metastasis.label.any()


def test_half_of_the_cases_are_metastatic_and_all_enhance():
    cases = [PhantomCase(0, number, SHAPE, "far_context") for number in range(8)]
    assert [case.metastatic for case in cases] == [False, True] * 4
    assert {case.grade for case in cases} == {"HGG"}


def test_ordinary_phantoms_have_the_voxels_that_they_always_had():
    volumes = make_volumes(PhantomCase(0, 0, (32, 32, 32)))
    found = hashlib.sha256(b"".join(volumes[kind].tobytes() for kind in (*SEQUENCES, "seg")))
    assert found.hexdigest() == "21c702cc7b3e756c7a846bbf9bfe7c7ac795c37e2eb2bb10bbfda8197517d78d"


def test_the_command_makes_them_for_every_scheme(tmp_path):
    options = ["--task", "far_context", "--cases", "2", "--size", "32", "--layout", "brats2024"]
    assert main(["phantoms", str(tmp_path / "made"), *options, "--workers", "1"]) == 0


def test_a_folder_of_another_task_is_refused(tmp_path):
    write_phantoms(tmp_path, cases=1, size=32, workers=1)
    with pytest.raises(DatasetError, match="task glioma not far_context"):
        write_phantoms(tmp_path, cases=1, size=32, task="far_context", workers=1)


def test_an_unknown_task_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DatasetError, match="glioma, far_context"):
        write_phantoms(tmp_path / "made", cases=1, size=32, task="near", workers=1)
