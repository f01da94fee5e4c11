"""Image cutouts: what is bad, how noisy the sky is, how bright the centre."""

import numpy as np
import pytest

from sanspec.survey import cutouts


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.normal(0, [[[[0.05]], [[0.02]], [[0.03]], [[0.04]], [[0.15]]]], (6, 5, 64, 64)).astype(
        np.float16
    )


def test_planes_put_the_band_first():
    cubes = np.random.default_rng(1).random((2, 64, 64, 5), dtype=np.float32)
    planes = cutouts.to_planes(cubes)
    assert planes.shape == (2, 5, 64, 64) and planes.dtype == np.float16
    np.testing.assert_allclose(planes[1, 3, 10, 20], cubes[1, 10, 20, 3], rtol=5e-4)


def test_bad_images(images):
    images[1, 2, 5, 5], images[2, 0, 0, 0], images[3, 4] = np.nan, np.inf, 0.25
    np.testing.assert_array_equal(cutouts.is_bad(images), [False, True, True, True, False, False])


def test_what_float16_cannot_hold_is_bad():
    cubes = np.random.default_rng(1).random((2, 64, 64, 5), dtype=np.float32)
    cubes[1, 3, 3, 3] = 1e5
    np.testing.assert_array_equal(cutouts.is_bad(cutouts.to_planes(cubes)), [False, True])


def test_sky_noise_does_not_see_the_galaxy_or_a_neighbour(images):
    images[:, :, 24:40, 24:40] += 10
    images[:, :, :6, 20:30] += 5
    np.testing.assert_allclose(
        cutouts.sky_noise(images).mean(axis=0), [0.05, 0.02, 0.03, 0.04, 0.15], rtol=0.1
    )


def test_fibre_magnitude_of_a_flat_image():
    """A disk of 3 arcsec of 1 nanomaggy a pixel."""
    area = np.pi * (1.5 / 0.396) ** 2
    found = cutouts.fibre_magnitude(np.ones((1, 64, 64)))
    assert found[0] == pytest.approx(22.5 - 2.5 * np.log10(area), abs=0.02)
    assert np.isnan(cutouts.fibre_magnitude(-np.ones((1, 64, 64))))[0]


def test_moments_do_not_depend_on_the_blocks(images):
    whole, parts = cutouts.Moments(np.full(5, 0.03)), cutouts.Moments(np.full(5, 0.03))
    whole.add(images)
    for block in (images[:1], images[1:4], images[4:]):
        parts.add(block)
    scaled = np.arcsinh(images.astype(float) / 0.03)
    for found in (whole.result(), parts.result()):
        np.testing.assert_allclose(found[0], scaled.mean(axis=(0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(found[1], scaled.std(axis=(0, 2, 3)), rtol=1e-5)
