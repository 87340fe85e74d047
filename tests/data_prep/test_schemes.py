import pytest

from data_prep import DatasetError
from data_prep.brats.labels import (
    BRATS2021,
    BRATS2023,
    BRATS2024,
    MSD,
    SCHEMES,
    choose_scheme,
    part_of_tumour,
    scheme_of_classes,
    scheme_of_regions,
    translate_labels,
)


def test_regions_are_those_of_the_challenges():
    assert BRATS2021.regions == {"TC": (1, 4), "WT": (1, 2, 4), "ET": (4,)}
    assert BRATS2023.regions == {"TC": (1, 3), "WT": (1, 2, 3), "ET": (3,)}
    assert MSD.regions == {"TC": (2, 3), "WT": (1, 2, 3), "ET": (3,)}


def test_a_resection_cavity_is_in_no_region():
    assert BRATS2024.labels[4] == "resection cavity"
    assert BRATS2024.regions == BRATS2023.regions


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_regions_are_nested(scheme):
    et, tc, wt = (set(scheme.regions[name]) for name in ("ET", "TC", "WT"))
    assert et < tc < wt <= set(scheme.labels)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_a_known_scheme_is_told_by_the_names_of_its_labels(scheme):
    named = {value: label.upper() for value, label in scheme.labels.items()}
    assert scheme_of_classes({0: "background"} | named) is scheme


@pytest.mark.parametrize(
    ("label", "part"),
    [
        ("edema", "oedema"),
        ("SNFH", "oedema"),
        ("ED", "oedema"),
        ("surrounding non-enhancing FLAIR hyperintensity", "oedema"),
        ("non-enhancing tumor", "core"),
        ("NonEnhancing", "core"),
        ("NCR", "core"),
        ("NETC", "core"),
        ("NCR/NET", "core"),
        ("necrotic_core", "core"),
        ("enhancing tumour", "enhancing"),
        ("GD-enhancing", "enhancing"),
        ("ET", "enhancing"),
        ("RC", "cavity"),
        ("resection cavity", "cavity"),
        ("Anterior", None),
        ("retina", None),
    ],
)
def test_the_names_of_tumour_parts_are_understood(label, part):
    assert part_of_tumour(label) == part


def test_parts_at_other_values_give_the_regions_too():
    scheme = scheme_of_classes({1: "ET", 2: "NCR", 3: "NET", 4: "edema", 5: "ignore"})
    assert scheme.regions == {"TC": (1, 2, 3), "WT": (1, 2, 3, 4), "ET": (1,)}
    assert set(scheme.labels) == {1, 2, 3, 4, 5}


def test_other_classes_are_regions_of_their_own():
    scheme = scheme_of_classes({0: "background", 1: "Anterior", 2: "Posterior"})
    assert scheme.regions == {"Anterior": (1,), "Posterior": (2,)}


def test_a_tumour_without_all_its_parts_keeps_its_classes():
    scheme = scheme_of_classes({1: "edema", 2: "enhancing tumour"})
    assert scheme.regions == {"edema": (1,), "enhancing tumour": (2,)}


def test_declared_regions_take_our_names():
    declared = {"whole tumor": (1, 2, 3), "tumor core": (2, 3), "enhancing tumor": (3,)}
    scheme = scheme_of_regions(declared | {"ignore": (4,)})
    assert list(scheme.regions.items()) == list(MSD.regions.items())
    assert scheme.labels == {1: "WT", 2: "TC/WT", 3: "TC/WT/ET", 4: "ignore"}


def test_a_fourth_region_keeps_its_name():
    three = {"WT": (1, 2, 3), "TC": (2, 3), "enhancing tumor": (3,)}
    scheme = scheme_of_regions(three | {"non-enhancing tumor": (2,)})
    assert scheme.regions == dict(MSD.regions) | {"non-enhancing tumor": (2,)}


@pytest.mark.parametrize("others", [{"organ": (1,)}, {"TC": (1, 2), "ET": (1,)}])
def test_regions_that_are_not_clearly_the_three_keep_their_names(others):
    declared = {"whole tumor": (1, 2), "enhancing": (2,)} | others
    assert scheme_of_regions(declared).regions == declared


def test_labels_are_translated_by_what_they_name():
    assert translate_labels(BRATS2021, MSD) == {1: 2, 2: 1, 4: 3}
    assert translate_labels(MSD, BRATS2021) == {2: 1, 1: 2, 3: 4}


def test_an_unknown_scheme_names_the_nearest():
    assert choose_scheme("msd") is MSD
    with pytest.raises(DatasetError, match=r"'BraTS2020'.*expected one of brats2021.*did you mean"):
        choose_scheme("BraTS2020")
    with pytest.raises(DatasetError, match=r"expected one of [^;]*$"):
        choose_scheme("x")
