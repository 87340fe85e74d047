import numpy as np
import pytest

from data_prep.phantom.fields import (
    coordinates,
    ellipsoid_depth,
    sheet_distance,
    smooth_field,
    soft_inside,
)


def _rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def test_a_field_is_the_same_at_every_size():
    coarse, fine = (smooth_field(_rng(), (n, n, n), 0.3) for n in (16, 32))
    np.testing.assert_allclose(fine[::2, ::2, ::2], coarse, atol=1e-5)


def test_a_field_has_about_unit_variance():
    field = smooth_field(_rng(), (48, 48, 48), 0.1)
    assert abs(field.mean()) < 0.1
    assert field.std() == pytest.approx(1, abs=0.15)


def test_coordinates_reach_one_along_the_shortest_side():
    x, y, z = coordinates((32, 48, 64))
    assert x.max() == pytest.approx(1 - 1 / 32)
    assert (x.shape, y.shape, z.shape) == ((32, 1, 1), (1, 48, 1), (1, 1, 64))
    assert z.max() > y.max() > x.max()


def test_depth_in_a_sphere_is_distance_to_its_surface():
    x, y, z = coordinates((24, 24, 24))
    depth = ellipsoid_depth([x, y, z], (0, 0, 0), (0.5, 0.5, 0.5))
    np.testing.assert_allclose(depth, 0.5 - np.sqrt(x * x + y * y + z * z), atol=1e-4)


def test_distance_to_a_flat_sheet_is_exact():
    x = np.broadcast_to(coordinates((20, 20, 20))[0], (20, 20, 20))
    np.testing.assert_allclose(sheet_distance(x * 1000), np.abs(x), rtol=1e-3)


def test_membership_is_a_half_on_the_surface():
    membership = soft_inside(np.array([[[-1.0, 0.0, 1.0]]], dtype=np.float32))
    assert membership.ravel().tolist() == [0.25, 0.5, 0.75]
    assert soft_inside(np.full((4, 4, 4), -9.0)).max() == 0
