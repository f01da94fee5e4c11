"""Nearest image and mean spectrum, against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from sanspec import neighbours
from sanspec.spectra import grid, preparing

SOFTENING, MEAN, STD = np.array([0.1, 0.2]), np.array([0.3, -0.2]), np.array([2.0, 0.5])


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 60))
def test_the_nearest_is_the_nearest(seed, size, count):
    rng = np.random.default_rng(seed)
    train = rng.normal(5, 1, (count, 30)).astype(np.float32)
    queries = rng.normal(5, 1, (7, 30)).astype(np.float32)
    blocks = (train[i : i + size] for i in range(0, count, size))
    position, distance = neighbours.nearest(queries, blocks)
    oracle = cKDTree(train.astype(float)).query(queries.astype(float))
    assert (position == oracle[1]).all() and distance == pytest.approx(oracle[0], rel=1e-6)


def test_exact_where_single_precision_is_not():
    """Two images that differ by less than a float32 product can tell."""
    train = np.full((2, 2000), 1000, np.float32)
    train[1, 0] += 2
    query = np.full((1, 2000), 1000, np.float32)
    query[0, 0] += 2
    assert neighbours.nearest(query, [train])[0] == [1]


def test_a_training_image_finds_itself_and_ties_take_the_first():
    train = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    train[9] = train[3]
    position, distance = neighbours.nearest(train, [train[:20], train[20:]])
    assert (np.delete(position, 9) == np.delete(np.arange(50), 9)).all() and position[9] == 3
    assert (distance == 0).all()


def test_no_training_image_is_a_fault():
    with pytest.raises(ValueError, match="no vector"):
        neighbours.nearest(np.zeros((1, 3), np.float32), [])


def test_standardised_images_follow_their_formula():
    images = np.random.default_rng(1).normal(0, 1, (3, 2, 4, 4))
    images[0, 0, 0, 0] = np.nan
    values = neighbours.standardise(images.astype(np.float16), SOFTENING, MEAN, STD).reshape(images.shape)
    assert values[0, 0, 0, 0] == 0.0
    expected = (np.arcsinh(images[2, 1] / 0.2) + 0.2) / 0.5
    assert values[2, 1] == pytest.approx(expected, abs=1e-2)  # half precision in


def test_colours_are_those_of_the_light_within_the_aperture():
    """Twice the flux: every band brighter by about ln 2, no colour changed; light outside does not count."""
    softening = np.array([0.05, 0.02, 0.03, 0.04, 0.15])
    y, x = np.mgrid[:64, :64] - 31.5
    disk = np.exp(-np.hypot(x, y) / 3) * np.array([1, 3, 5, 7, 9])[:, None, None] * 10
    ring = np.where(np.hypot(x, y) > 13, 50.0, 0.0)
    one, two, three = neighbours.colours(np.stack([disk, 2 * disk, disk + ring]), softening)
    assert two[0] - one[0] == pytest.approx(np.log(2), abs=1e-3)
    assert two[1:] == pytest.approx(one[1:], abs=1e-2) and three == pytest.approx(one)
    inside = np.hypot(x, y) <= 12
    g, r = (np.arcsinh(disk[band][inside].sum() / (softening[band] * inside.sum() ** 0.5)) for band in (1, 2))
    assert one[[0, 2]] == pytest.approx([r, r - g], rel=1e-5)
    blank = np.full((1, 5, 64, 64), np.nan)
    assert (neighbours.colours(blank, softening) == 0).all()


def test_the_mean_spectrum_is_the_mean_where_spectra_reach():
    z = np.array([0.05, 0.10, 0.15])
    level = np.array([1.0, 2.0, 6.0])
    flux = np.repeat(level[:, None], len(grid.WAVE), axis=1)
    flux[1, 2000:2100] = np.nan  # 6000-6100 A observed
    mean = neighbours.MeanSpectrum()
    mean.add(flux[:2], z[:2])
    mean.add(flux[2:], z[2:])
    value = dict(zip(neighbours.REST_WAVE, mean.value()))
    assert value[5000.0] == pytest.approx(3.0) and value[5500.0] == pytest.approx(3.5)
    assert value[3500.0] == pytest.approx(6.0) and np.isnan(value[3470.0])


def test_gaps_are_interpolated():
    flux = np.array([[1.0, np.nan, 3.0, np.nan], [np.nan] * 4])
    filled = preparing.fill_gaps(flux, np.isfinite(flux))
    assert filled[0] == pytest.approx([1, 2, 3, 3]) and np.isnan(filled[1]).all()
