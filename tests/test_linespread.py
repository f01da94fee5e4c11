"""The stored line-spread function is the true one: narrow lines come out as wide as it says."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from sanspec.config import Prepare
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.spectra import grid, linespread, preparing
from sanspec.spectra.native import NATIVE_FIRST, NATIVE_PIXELS, NativeBlock

WAVE = linespread.native_wave(NATIVE_FIRST, NATIVE_PIXELS)
WIDTH = linespread.native_width(NATIVE_FIRST, NATIVE_PIXELS)


def narrow_lines(centres, wdisp):
    """Spectra (line, native) of one unresolved line each, sampled with the native LSF."""
    sigma = wdisp * np.interp(centres, WAVE, WIDTH)
    return np.exp(-0.5 * ((WAVE - centres[:, None]) / sigma[:, None]) ** 2) / sigma[:, None]


def widths(flux):
    """FWHM [Angstrom] of each line by its second moment."""
    total = flux.sum(axis=1)
    mean = flux @ grid.WAVE / total
    variance = (flux * (grid.WAVE - mean[:, None]) ** 2).sum(axis=1) / total
    return FWHM_PER_SIGMA * np.sqrt(variance)


def prepared(centres, wdisp, settings):
    flux = narrow_lines(centres, wdisp)
    ones = np.ones_like(flux)
    native = NativeBlock(flux, ones, wdisp * ones, np.zeros(len(flux), np.uint32))
    return preparing.smooth_spectra(native, settings)


@pytest.mark.parametrize("smoothing", ["constant_fwhm", "released_sigma"])
@pytest.mark.parametrize("wdisp", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("centre", [4200.0, 4700.0, 5200.0, 5900.0, 7000.0, 8300.0])
def test_the_stored_lsf_is_what_narrow_lines_show(smoothing, wdisp, centre):
    settings = Prepare(smoothing=smoothing)
    centres = centre + np.linspace(0, 2, 41)[:-1]  # all phases against both grids
    block = prepared(centres, wdisp, settings)
    stored = np.interp(centre, grid.coarse_wave(), block.lsf[0])
    measured = np.sqrt(np.mean(widths(block.flux) ** 2))
    assert measured == pytest.approx(stored, rel=0.01)


@pytest.mark.parametrize("centre", [4200.0, 4700.0, 5200.0])
def test_where_the_native_lsf_is_narrower_the_target_is_met(centre):
    """R = 1500 at 5000 A: FWHM 3.333 A, by moments and by a fitted Gaussian."""
    centres = centre + np.linspace(0, 2, 41)[:-1]
    block = prepared(centres, 0.9, Prepare())
    assert np.sqrt(np.mean(widths(block.flux) ** 2)) == pytest.approx(5000 / 1500, rel=0.005)
    for flux, line in zip(block.flux, centres):
        near = np.abs(grid.WAVE - line) < 10
        start = (flux.max(), line, 1.4)
        (_, mean, sigma), _ = curve_fit(gaussian, grid.WAVE[near], flux[near], start)
        assert FWHM_PER_SIGMA * sigma == pytest.approx(5000 / 1500, rel=0.005)
        assert mean == pytest.approx(line, abs=0.01)


def gaussian(x, height, mean, sigma):
    return height * np.exp(-0.5 * ((x - mean) / sigma) ** 2)


def test_a_broad_native_lsf_is_left_alone():
    native = np.full((1, NATIVE_PIXELS), (4.0 / FWHM_PER_SIGMA) ** 2)
    rebinning = linespread.rebinning_variance(NATIVE_FIRST, NATIVE_PIXELS)
    assert not linespread.kernel_variance(native, rebinning, 5000 / 1500).any()


def test_unknown_dispersion_is_interpolated_or_nan():
    wdisp = np.ones((2, NATIVE_PIXELS))
    wdisp[0, 100:200] = 0
    wdisp[1] = 0
    variance = linespread.native_variance(wdisp, NATIVE_FIRST)
    np.testing.assert_allclose(variance[0], WIDTH**2)
    assert np.isnan(variance[1]).all()


def test_wdisp_is_69_km_s_a_pixel():
    """sigma_inst = wdisp x 69.03 km/s (1e-4 dex)."""
    sigma = np.sqrt(linespread.native_variance(np.ones((1, NATIVE_PIXELS)), NATIVE_FIRST)[0])
    np.testing.assert_allclose(sigma / WAVE * C_KMS, 69.03, atol=0.005)
