import numpy as np
import pytest

from data_prep.brats.labels import BRATS2021, SCHEMES
from monai_kd.inference.volumes import measure_volumes


def _label(shape=(12, 14, 10), values=(0, 1, 2, 4)):
    return np.random.default_rng(0).choice(np.array(values, dtype=np.uint8), shape)


def test_nothing_has_no_volume():
    assert set(measure_volumes(_label(values=(0,)), np.eye(4), BRATS2021).values()) == {0.0}


def test_a_thousand_voxels_of_1_mm_are_1_ml():
    label = np.full((10, 10, 10), 4, dtype=np.uint8)
    assert measure_volumes(label, np.eye(4), BRATS2021) == {"TC": 1.0, "WT": 1.0, "ET": 1.0}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda scheme: scheme.name)
def test_regions_are_unions_of_their_values(scheme):
    label = _label(values=(0, *scheme.labels))
    volumes = measure_volumes(label, np.eye(4), scheme)
    for region, values in scheme.regions.items():
        assert volumes[region] == pytest.approx(np.isin(label, values).sum() / 1000)


def test_volume_goes_with_the_size_of_a_voxel_and_not_with_its_direction():
    plain = measure_volumes(_label(), np.eye(4), BRATS2021)
    mirrored = measure_volumes(_label(), np.diag([-1.0, -1, 5, 1]), BRATS2021)
    assert mirrored == pytest.approx({region: 5 * value for region, value in plain.items()})


def test_the_order_of_the_voxels_does_not_matter():
    label = _label()
    turned = np.asfortranarray(label)[::-1].transpose(2, 0, 1)
    assert measure_volumes(turned, np.eye(4), BRATS2021) == measure_volumes(
        label, np.eye(4), BRATS2021
    )
