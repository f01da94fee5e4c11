"""Weighted principal components: against the SVD, with gaps, in the rest frame."""

import numpy as np
import pytest

import toy
from made_spectra import made
from sanspec.redshift import eigen
from sanspec.spectra import grid


def planted(count=300, pixels=120, components=4, seed=0):
    """Spectra that are exact mixtures of a few vectors of falling power."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(pixels, components)))[0].T
    coefficients = rng.normal(size=(count, components)) * 10.0 ** -np.arange(components) + [3, 0, 0, 0]
    return coefficients @ vectors, vectors


def overlap(one, other):
    """Least cosine between two subspaces: 1 where they are the same."""
    return np.linalg.svd(one @ other.T)[1].min()


def test_on_complete_data_it_is_the_svd():
    flux = planted()[0] + 1e-3 * np.random.default_rng(1).normal(size=(300, 120))
    found = eigen.empca(flux, np.ones_like(flux), 3, iterations=40)
    oracle = np.linalg.svd(flux, full_matrices=False)[2][:3]
    assert found @ found.T == pytest.approx(np.eye(3), abs=1e-10)
    assert abs(np.sum(found * oracle, axis=1)) == pytest.approx(np.ones(3), abs=1e-6)
    assert (found.sum(axis=1) >= 0).all()


def test_a_constant_weight_does_not_matter():
    flux = planted()[0]
    one, other = (eigen.empca(flux, np.full_like(flux, weight), 2) for weight in (1.0, 250.0))
    assert one == pytest.approx(other, abs=1e-8)


def test_gaps_do_not_bias_the_components():
    flux, vectors = planted()
    weight = (np.random.default_rng(2).random(flux.shape) > 0.4).astype(float)
    weight[:, 100:] *= np.arange(300)[:, None] < 150  # half of the spectra end early
    found = eigen.empca(np.where(weight > 0, flux, np.nan), weight, 4, iterations=60)
    assert overlap(found, vectors) == pytest.approx(1.0, abs=1e-6)
    assert eigen.explained(flux, weight, found) == pytest.approx(1.0, abs=1e-9)


def test_noisy_pixels_are_heard_less():
    """Where half of the pixels carry most of the noise, weights recover the components better than none."""
    flux, vectors = planted()
    rng = np.random.default_rng(3)
    sigma = np.where(rng.random(flux.shape) < 0.5, 0.3, 0.01)
    noisy = flux + sigma * rng.normal(size=flux.shape)
    weighted = eigen.empca(noisy, sigma**-2, 2)
    plain = eigen.empca(noisy, np.ones_like(noisy), 2)
    assert 1 - overlap(weighted, vectors[:2]) < 0.2 * (1 - overlap(plain, vectors[:2]))


def test_rows_and_pixels_without_weight_are_survived():
    flux = planted()[0]
    weight = np.ones_like(flux)
    weight[7], weight[:, 11] = 0, 0
    found = eigen.empca(flux, weight, 4)
    assert np.isfinite(found).all() and found[:, 11] == pytest.approx(0, abs=1e-12)
    assert eigen.weighted_solve(found, flux, weight)[7] == pytest.approx(np.zeros(4))


def test_weighted_solve_is_least_squares():
    rng = np.random.default_rng(4)
    basis, data, weight = rng.normal(size=(3, 50)), rng.normal(size=(5, 50)), rng.random((5, 50))
    root = np.sqrt(weight)
    oracle = [np.linalg.lstsq((basis * r).T, d * r)[0] for d, r in zip(data, root)]
    assert eigen.weighted_solve(basis, data, weight) == pytest.approx(np.array(oracle), rel=1e-6)


def test_rest_frame_lines_fall_on_one_pixel():
    z = np.array([0.05, 0.08, 0.15])
    flux = 1 + np.exp(-0.5 * ((grid.WAVE - 5008.24 * (1 + z[:, None])) / 3) ** 2)
    loglam, rest, weight = eigen.rest_frame(made(flux, z), floor=0.0, coverage=0.5)
    peaks = 10 ** loglam[np.argmax(rest, axis=1)]
    assert peaks == pytest.approx(5008.24, abs=0.8)
    assert np.median(rest[weight > 0]) == pytest.approx(1, abs=1e-6)  # a constant stays constant


def test_rest_frame_ends_where_too_few_spectra_reach():
    z = np.linspace(0.05, 0.15, 11)
    flux = np.ones((11, len(grid.WAVE)))
    loglam, _, weight = eigen.rest_frame(made(flux, z, ivar=flux), floor=0.0, coverage=0.5)
    assert 10 ** loglam[0] == pytest.approx(3999.5 / 1.10, abs=1.5)
    assert 10 ** loglam[-1] == pytest.approx(8499.5 / 1.10, abs=1.5)
    assert set(np.unique(weight)) == {0.0, 1.0}


def test_a_floor_keeps_bright_spectra_from_ruling():
    flux = np.full((2, len(grid.WAVE)), 2.0)
    weight = eigen.rest_frame(made(flux, [0.05, 0.06], ivar=1e8 * flux), floor=0.05, coverage=1.0)[2]
    assert weight[0] == pytest.approx(1 / (0.05 * 2.0) ** 2, rel=1e-3)


def test_eigenspectra_of_galaxies_keep_their_emission_lines():
    """Galaxies of any line strength are fitted to the noise, also those of the strongest lines."""
    rng = np.random.default_rng(5)
    age, z = rng.uniform(0.05, 0.95, 250), rng.uniform(0.05, 0.15, 250)
    clean = toy.spectrum(age, z)
    flux = clean + 0.02 * rng.normal(size=clean.shape)
    _, rest, weight = eigen.rest_frame(
        made(flux, z, ivar=np.full_like(flux, 0.02**-2)), floor=0.0, coverage=0.1
    )
    vectors = eigen.empca(rest, weight, 6)
    residual = weight * (rest - eigen.weighted_solve(vectors, rest, weight) @ vectors) ** 2
    chi2 = residual.sum(axis=1) / (weight > 0).sum(axis=1)
    young = age < 0.2  # the strongest lines
    assert chi2[young].mean() < 1.2 * chi2[~young].mean()
