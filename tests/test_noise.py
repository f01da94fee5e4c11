"""Pulls: what is measured on 1,000 noise draws scatters as the stored covariance says."""

import numpy as np
import pytest

from noise_draws import draw_noise
from sanspec.config import Prepare
from sanspec.spectra import grid, linespread, noise, preparing
from sanspec.spectra.native import NATIVE_FIRST, NATIVE_PIXELS, NativeBlock

DRAWS = 1000


def draws(seed):
    """The same galaxy observed 1,000 times: noise that changes from pixel to pixel, some of them bad."""
    rng = np.random.default_rng(seed)
    wave = linespread.native_wave(NATIVE_FIRST, NATIVE_PIXELS)
    flux = 20 * (wave / 6500) ** 0.5 + 40 * np.exp(-0.5 * ((wave - 7221) / 2.6) ** 2)
    ivar = np.clip(4 + 3 * np.sin(wave / 30) + 0.3 * rng.normal(size=NATIVE_PIXELS), 0.3, None)
    ivar[rng.random(NATIVE_PIXELS) < 0.01] = 0
    wdisp = np.interp(wave, [4000, 5800, 6100, 8500], [1.05, 0.85, 0.95, 0.80])
    noisy = flux + rng.normal(size=(DRAWS, NATIVE_PIXELS)) / np.sqrt(np.where(ivar > 0, ivar, 1))
    every = np.ones((DRAWS, 1))
    return NativeBlock(np.where(ivar > 0, noisy, 0), ivar * every, wdisp * every, np.zeros(DRAWS, np.uint32))


@pytest.fixture(scope="module", params=["constant_fwhm", "released_sigma"])
def observed(request):
    """flux (draw, pix), and ivar and correlation in the precision of the file."""
    block = preparing.smooth_spectra(draws(3), Prepare(smoothing=request.param))
    return block.flux, block.ivar[0].astype(np.float32), block.correlation[0].astype(np.float16)


def between(low, high, ivar):
    return ((low < grid.WAVE) & (high > grid.WAVE) & (ivar > 0)).astype(float)


def pulls(values, weights, ivar, correlation):
    """Scatter over expected scatter, with the covariance and with its diagonal alone."""
    full = np.sqrt(noise.noise_variance(weights, ivar, correlation))
    diagonal = np.sqrt(noise.noise_variance(weights, ivar, np.zeros_like(correlation)))
    return np.std(values) / full, np.std(values) / diagonal


@pytest.mark.parametrize(("low", "high"), [(4200, 4400), (5150, 5200), (7000, 7100), (8000, 8300)])
def test_band_mean(observed, low, high):
    flux, ivar, correlation = observed
    weights = between(low, high, ivar)
    pull, _ = pulls(flux @ weights, weights, ivar, correlation)
    assert 0.95 < pull < 1.05


@pytest.mark.parametrize("centre", [4400, 5508, 6000, 7221, 8200])
def test_line_flux_by_an_unweighted_gaussian_fit(observed, centre):
    """A diagonal ivar understates the error 1.4 to 2.3 times."""
    flux, ivar, correlation = observed
    shape = np.exp(-0.5 * ((grid.WAVE - centre) / 1.8) ** 2) * (ivar > 0)
    weights = shape / np.sum(shape**2)
    pull, diagonal = pulls(flux @ weights, weights, ivar, correlation)
    assert 0.95 < pull < 1.05 and diagonal > 1.3


@pytest.mark.parametrize("centre", [4300, 5694, 7500, 8200])
def test_index(observed, centre):
    """An equivalent width against the mean of two side bands, its error linearised."""
    flux, ivar, correlation = observed
    feature = between(centre - 16, centre + 16, ivar)
    sides = (between(centre - 34, centre - 16, ivar), between(centre + 16, centre + 30, ivar))
    side = sum(0.5 * band / band.sum() for band in sides)
    inside, continuum = flux @ feature, flux @ side
    weights = -feature / continuum.mean() + inside.mean() / continuum.mean() ** 2 * side
    pull, _ = pulls(feature.sum() - inside / continuum, weights, ivar, correlation)
    assert 0.95 < pull < 1.05


def test_drawn_noise_has_the_stored_covariance(observed):
    _, ivar, correlation = observed
    noisy = draw_noise(ivar, correlation, np.random.default_rng(1), 2000)
    assert np.median(noisy.std(axis=0)[ivar > 0] * np.sqrt(ivar[ivar > 0])) == pytest.approx(1, abs=0.02)
    assert not noisy[:, ivar == 0].any()
    weights = between(5900, 6100, ivar)
    assert 0.95 < pulls(noisy @ weights, weights, ivar, correlation)[0] < 1.05


def test_covariance_times_is_the_dense_matrix():
    rng = np.random.default_rng(0)
    ivar, correlation = rng.uniform(1, 2, 30), rng.uniform(0, 0.4, (3, 30))
    ivar[7] = 0
    sigma = np.where(ivar > 0, 1 / np.sqrt(np.where(ivar > 0, ivar, 1)), 0)
    dense = np.diag(np.ones(30))
    for lag in range(3):
        dense += np.diag(correlation[lag, : -lag - 1], lag + 1) + np.diag(
            correlation[lag, : -lag - 1], -lag - 1
        )
    dense *= sigma[:, None] * sigma
    vector = rng.normal(size=(2, 30))
    np.testing.assert_allclose(noise.covariance_times(vector, ivar, correlation), vector @ dense, rtol=1e-12)


def test_a_weight_on_a_masked_pixel_has_unknown_noise():
    ivar, correlation = np.array([1.0, 0.0, 4.0]), np.zeros((1, 3))
    assert noise.noise_variance(np.array([1.0, 0.0, 2.0]), ivar, correlation) == 2
    assert noise.noise_variance(np.array([1.0, 1.0, 2.0]), ivar, correlation) == np.inf


def test_what_is_no_correlation_is_refused():
    with pytest.raises(ValueError, match="not a correlation"):
        draw_noise(np.ones(9), np.full((2, 9), -0.9), np.random.default_rng(0), 1)
