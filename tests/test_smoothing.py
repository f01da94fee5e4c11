"""The banded operator: plain matrices agree, constants stay, variances add, masked pixels have no weight."""

import numpy as np
import pytest
from astropy.convolution import Gaussian1DKernel, convolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import norm

from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.spectra import grid, smoothing
from sanspec.spectra.native import NATIVE_FIRST, NATIVE_PIXELS

LAGS = 7
EDGES = grid.loglam_edges(NATIVE_FIRST, NATIVE_PIXELS)
SIGMA = 5000 / 1500 / FWHM_PER_SIGMA


@pytest.fixture(scope="module")
def operators():
    return {
        "blurred": smoothing.blurred(NATIVE_FIRST, NATIVE_PIXELS, SIGMA),
        "released": smoothing.released(NATIVE_FIRST, NATIVE_PIXELS, 2.0),
    }


@pytest.fixture(scope="module")
def native():
    """Two spectra with holes, and a blur that falls to nothing in the red."""
    rng = np.random.default_rng(0)
    flux = 5 + rng.normal(size=(2, NATIVE_PIXELS))
    ivar = rng.uniform(0.5, 2, size=flux.shape)
    ivar[0, 1000:1003] = ivar[1, 2000:2040] = ivar[1, :700] = 0
    blur = np.clip(np.linspace(1.5, -0.4, NATIVE_PIXELS), 0, None) * np.ones((2, 1))
    return flux, ivar, blur


def blurred_matrix(blur):
    """T (product, native) by quadrature of Gaussian-blurred boxes over each product bin."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    first = np.searchsorted(EDGES, grid.WAVE - 0.5 - 9)
    columns = first[:, None] + np.arange(25)
    sigma = np.sqrt(np.maximum(blur[columns], 1e-12))
    total = np.zeros(columns.shape)
    for node, weight in zip(nodes, weights):
        x = grid.WAVE[:, None] + 0.5 * node
        total += (
            0.5
            * weight
            * (norm.cdf((x - EDGES[columns]) / sigma) - norm.cdf((x - EDGES[columns + 1]) / sigma))
        )
    rows = np.repeat(np.arange(len(grid.WAVE)), 25)
    return sparse.csr_array((total.ravel(), (rows, columns.ravel())), shape=(len(grid.WAVE), NATIVE_PIXELS))


def test_the_operator_is_the_blurred_boxes(operators):
    blur = np.full((1, NATIVE_PIXELS), 0.8)
    flux = np.random.default_rng(3).normal(size=(1, NATIVE_PIXELS))
    found = smoothing.resample(flux, np.ones_like(flux), blur, operators["blurred"], 1)[0][0]
    np.testing.assert_allclose(found, blurred_matrix(blur[0]) @ flux[0], atol=2e-6)


def test_without_blur_it_is_rebinning_by_overlap(operators):
    flux = np.random.default_rng(4).normal(size=(1, NATIVE_PIXELS))
    found = smoothing.resample(flux, np.ones_like(flux), np.zeros_like(flux), operators["blurred"], 1)[0]
    np.testing.assert_allclose(found, grid.rebin(EDGES, flux, grid.bin_edges(grid.WAVE)), atol=1e-12)


@pytest.mark.parametrize("which", ["blurred", "released"])
def test_flux_noise_and_masks_agree_with_plain_matrices(operators, native, which):
    flux, ivar, blur = native
    found_flux, found_ivar, correlation, found_coverage = smoothing.resample(
        flux, ivar, blur, operators[which], LAGS
    )
    for row in range(2):
        operator = plain(operators[which], blur[row]) @ sparse.diags_array((ivar[row] > 0).astype(float))
        coverage = operator.sum(axis=1)
        use = coverage >= 0.5
        operator = sparse.diags_array(1 / coverage[use]) @ operator.tocsr()[use]
        variance = sparse.diags_array(1 / np.where(ivar[row] > 0, ivar[row], 1))
        covariance = (operator @ variance @ operator.T).tocsr()
        np.testing.assert_allclose(found_coverage[row], coverage, atol=1e-9)
        np.testing.assert_array_equal(found_ivar[row] > 0, use)
        np.testing.assert_allclose(found_flux[row, use], operator @ flux[row], rtol=1e-9)
        np.testing.assert_allclose(1 / found_ivar[row, use], covariance.diagonal(), rtol=1e-9)
        place, sigma = np.flatnonzero(use), np.sqrt(covariance.diagonal())
        for lag in range(LAGS):
            near = place[1 + lag :] - place[: -1 - lag] == 1 + lag
            expected = (covariance.diagonal(lag + 1) / (sigma[: -1 - lag] * sigma[1 + lag :]))[near]
            found = correlation[row, lag, place[: -1 - lag][near]]
            np.testing.assert_allclose(found, expected, atol=1e-6)


def plain(operator, blur):
    """T of an operator as a sparse matrix, one native pixel's response after the other."""
    weights = operator.weights.copy()
    if not operator.shared:
        low, high = np.zeros((2, len(operator.origin)), np.int64)
        bins = grid.bin_edges(grid.WAVE)
        smoothing._fill_band(
            blur, operator.edges, bins, smoothing._edge_table(), operator.origin, weights, low, high
        )
    rows = np.repeat(np.arange(len(weights)), weights.shape[1])
    columns = (operator.origin[:, None] + np.arange(weights.shape[1])).ravel()
    inside = columns < NATIVE_PIXELS
    values = (weights.ravel()[inside], (rows[inside], columns[inside]))
    return sparse.csr_array(values, shape=(len(weights), NATIVE_PIXELS))


def test_batch_is_serial_whatever_the_threads(operators, native):
    flux, ivar, blur = native
    both = smoothing.resample(flux, ivar, blur, operators["blurred"], LAGS, threads=2)
    for row in range(2):
        one = slice(row, row + 1)
        alone = smoothing.resample(flux[one], ivar[one], blur[one], operators["blurred"], LAGS, threads=1)
        for one_of_alone, one_of_both in zip(alone, both):
            np.testing.assert_array_equal(one_of_alone[0], one_of_both[row])


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), level=st.floats(-100, 100), which=st.sampled_from(["blurred", "released"])
)
def test_a_constant_stays_constant_however_masked(operators, seed, level, which):
    rng = np.random.default_rng(seed)
    shape = (1, NATIVE_PIXELS)
    ivar = (rng.random(shape) > rng.uniform(0, 0.7)).astype(float)
    flux = np.where(ivar > 0, level, 1e30)  # whatever stands in bad pixels
    blur = rng.uniform(0, SIGMA**2, shape)
    found, found_ivar, correlation, _ = smoothing.resample(flux, ivar, blur, operators[which], 9)
    np.testing.assert_allclose(found[found_ivar > 0], level, rtol=1e-12, atol=1e-12)
    assert (np.abs(correlation) <= 1 + 1e-6).all()


def test_flux_is_conserved(operators):
    """Lines keep their flux whatever the blur, and wherever they fall on the pixels."""
    wave = 0.5 * (EDGES[1:] + EDGES[:-1])
    centres = np.linspace(4100, 8400, 40)
    flux = np.exp(-0.5 * ((wave - centres[:, None]) / 1.3) ** 2)
    blur = np.random.default_rng(5).uniform(0, 1.5, (40, 1)) * np.ones(NATIVE_PIXELS)
    found = smoothing.resample(flux, np.ones_like(flux), blur, operators["blurred"], 1)[0]
    np.testing.assert_allclose(found.sum(axis=1), flux @ np.diff(EDGES), rtol=1e-5)


def test_released_kernel_is_astropys(operators):
    """Gaussian1DKernel(stddev=2), convolved on the 1 A grid, away from the ends."""
    flux = 5 + np.random.default_rng(1).normal(size=(1, NATIVE_PIXELS))
    rebinned = grid.rebin(EDGES, flux, grid.bin_edges(grid.WAVE))
    expected = convolve(rebinned[0], Gaussian1DKernel(stddev=2))
    found = smoothing.resample(flux, np.ones_like(flux), np.zeros_like(flux), operators["released"], 9)[0][0]
    np.testing.assert_allclose(found[10:-10], expected[10:-10], rtol=1e-10)


@pytest.mark.parametrize("which", ["blurred", "released"])
def test_no_end_is_padded(operators, which):
    """A slope continues to the first and last pixel of the grid, which zero padding would bend."""
    flux = 0.5 * (EDGES[1:] + EDGES[:-1])[None]
    blur = np.full_like(flux, 1.2)
    found = smoothing.resample(flux, np.ones_like(flux), blur, operators[which], 9)[0][0]
    np.testing.assert_allclose(found, grid.WAVE, atol=0.5)


def test_lags_hold_all_but_a_per_cent():
    for sigma in (1.0, SIGMA, 2.0):
        lags = smoothing.lags_needed(sigma)
        assert np.exp(-((lags + 1) ** 2) / (4 * sigma**2)) < 0.01
