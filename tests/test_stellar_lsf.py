"""One linear step to another resolution and other bins: invariants, moments, a rival by fine sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from sanspec.spectra import grid
from sanspec.stellar.lsf import smoothing

FINE = np.arange(4000.0, 4200.25, 0.25)
COARSE = np.geomspace(4030.0, 4170.0, 121)


@given(st.floats(0, 4), st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_a_constant_and_a_slope_stay(sigma, slope):
    operator = smoothing(FINE, COARSE, np.full(120, sigma))
    assert np.allclose(operator @ np.ones(FINE.size - 1), 1.0)
    middle = 0.5 * (FINE[1:] + FINE[:-1])
    assert np.allclose(operator @ (slope * middle), slope * 0.5 * (COARSE[1:] + COARSE[:-1]), atol=1e-6)


def test_without_width_it_is_rebinning():
    flux = np.random.default_rng(0).random(FINE.size - 1)
    operator = smoothing(FINE, COARSE, np.zeros(120))
    assert np.allclose(operator @ flux, grid.rebin(FINE, flux, COARSE), rtol=1e-7)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_a_line_gets_exactly_the_stated_variance(sigma):
    flux = np.zeros(FINE.size - 1)
    flux[400] = 1.0
    out = np.linspace(4060, 4140, 641)
    line = smoothing(FINE, out, np.full(640, sigma)) @ flux
    middle = 0.5 * (out[1:] + out[:-1])
    mean = middle @ line / line.sum()
    boxes = (0.25**2 + 0.125**2) / 12  # of the two pixels
    assert mean == pytest.approx(0.5 * (FINE[400] + FINE[401]), abs=1e-6)
    assert (middle - mean) ** 2 @ line / line.sum() == pytest.approx(sigma**2 + boxes, rel=1e-4)


def test_it_agrees_with_a_finely_sampled_convolution():
    fine = 4000 + 0.01 * np.arange(20000)
    spectrum = 1 + 0.3 * np.sin(fine / 3) + np.exp(-0.5 * ((fine - 4100) / 2) ** 2)
    blurred = gaussian_filter1d(spectrum, 1.5 / 0.01, truncate=6)
    out = np.linspace(4050, 4150, 101)
    wanted = blurred[5000:15000].reshape(100, -1).mean(axis=1)
    pixels = spectrum.reshape(-1, 10).mean(axis=1)
    edges = 4000 + 0.1 * np.arange(2001) - 0.005
    assert np.allclose(smoothing(edges, out - 0.005, np.full(100, 1.5)) @ pixels, wanted, atol=3e-4)


def test_bins_beyond_the_input_are_0():
    operator = smoothing(FINE, np.array([3900.0, 3950, 4001, 4100, 4150, 4199, 4300]), np.full(6, 1.0))
    assert (operator @ np.ones(FINE.size - 1)).round(9).tolist() == [0, 0, 0, 1, 0, 0]
