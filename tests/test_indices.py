"""Dn4000: closed forms, published values, noise, and what happens at gaps and edges."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ppxf import ppxf_util

from noise_draws import draw_noise
from populations import read_library
from sanspec.errors import Warn
from sanspec.features import indices
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.physics.lines import INDICES
from sanspec.spectra import grid

DN4000 = INDICES["dn4000"]
Z = np.array([0.1])


def measure(flux, z=Z, **more):
    return indices.break_strength(DN4000, np.atleast_2d(flux), np.atleast_1d(z), **more)


def power_law(exponent):
    return (grid.WAVE / 5000) ** exponent


@settings(max_examples=30)
@given(st.floats(-4, 4), st.floats(0.05, 0.15))
def test_a_power_law_has_the_index_of_its_integrals(exponent, z):
    """F_lambda = lambda^p: the mean F_nu of a window is that of lambda^(p+2), which has a closed form (but p = -3)."""
    assume(abs(exponent + 3) > 1e-3)
    edges = air_to_vac(np.array([DN4000.blue, DN4000.red])) * (1 + z)
    mean = (edges[:, 1] ** (exponent + 3) - edges[:, 0] ** (exponent + 3)) / (exponent + 3)
    blue, red = mean / np.diff(edges)[:, 0]
    assert measure(power_law(exponent), z).value == pytest.approx(red / blue, rel=2e-6)


def test_flat_in_frequency_is_one():
    assert measure(power_law(-2.0)).value == pytest.approx(1.0, abs=1e-5)


@given(st.floats(1e-3, 1e3))
def test_the_scale_of_the_flux_does_not_matter(scale):
    assert measure(scale * power_law(1.3)).value == pytest.approx(measure(power_law(1.3)).value)


def test_windows_move_with_the_redshift_to_a_fraction_of_a_pixel():
    """A step between the windows leaves their means alone, whatever part of a pixel they cut."""
    middle = float(air_to_vac(np.array(3975.0)))
    for z in np.linspace(0.05, 0.06, 21):
        step = np.where(middle * (1 + z) > grid.WAVE, 1.0, 2.0) * grid.WAVE**-2.0
        assert measure(step, z).value == pytest.approx(2.0, rel=1e-4)


def test_windows_are_those_of_the_air_of_ppxf():
    wave = np.arange(3700.0, 4300.0, 0.02)
    low, high = ppxf_util.air_to_vac(np.array(DN4000.red))
    flux = np.where((wave >= low) & (wave <= high), 3.0, 1.0) * wave**-2.0
    assert measure(flux, 0.0, wave=wave).value == pytest.approx(3.0, rel=1e-4)


def test_the_break_of_an_old_population_is_the_published_one():
    """10 Gyr, solar: 2.0592 at the resolution of the library (MaNGA DAP), 2.041 at that of Lick, 11.5 A."""
    library = read_library()
    flux = library.cube[:, np.argmin(abs(library.ages - 10)), np.argmin(abs(library.metals))].astype(float)
    near = (library.lam > 3600) & (library.lam < 4300)
    wave, flux = air_to_vac(library.lam[near]), flux[near]
    native = measure(flux, 0.0, wave=wave).value
    assert native == pytest.approx(2.0592, abs=0.002)
    fwhm = np.interp(wave, [4000, 4400], [11.5, 9.2])  # Worthey & Ottaviani 1997, table 8
    sigma = np.sqrt(fwhm**2 - 2.51**2) / FWHM_PER_SIGMA
    lick = ppxf_util.varsmooth(wave, flux, sigma)
    assert measure(lick, 0.0, wave=wave).value == pytest.approx(2.041, abs=0.005)
    wrong = measure(flux / wave**2, 0.0, wave=wave).value  # F_lambda in place of F_nu
    assert wrong / native == pytest.approx(0.927, abs=0.001)


@pytest.mark.parametrize("correlated", [False, True])
def test_errors_are_the_scatter_of_the_noise(correlated):
    rng = np.random.default_rng(5)
    clean, ivar = power_law(0.7), np.full(grid.WAVE.shape, 20.0**2)
    ivar[::17] = 0.0
    ivar[200:400] /= 4
    correlation = np.outer([0.6, 0.2] if correlated else [0.0, 0.0], np.ones(len(ivar)))
    drawn = clean + draw_noise(ivar, correlation, rng, 1000)
    many = np.ones((1000, 1))
    found = measure(drawn, np.full(1000, 0.1), ivar=ivar * many, correlation=correlation * many[:, :, None])
    pulls = (found.value - measure(np.where(ivar > 0, clean, np.nan)).value) / found.error
    assert pulls.std() == pytest.approx(1.0, abs=0.05) and abs(pulls.mean()) < 0.15
    if correlated:  # a diagonal covariance alone would understate the error by sqrt(1 + 2 (0.6 + 0.2))
        alone = measure(drawn, np.full(1000, 0.1), ivar=ivar * many).error
        assert (found.error / alone).mean() == pytest.approx(np.sqrt(2.6), rel=0.12)


def test_masked_pixels_are_not_read():
    ivar = np.ones((1, len(grid.WAVE)))
    window = np.flatnonzero((grid.WAVE > 4260) & (grid.WAVE < 4330))[:10]
    ivar[0, window] = 0.0
    flux = power_law(-2.0)
    flux[window] = 1e6
    assert measure(flux, ivar=ivar).value == pytest.approx(1.0, abs=1e-3)
    assert measure(np.where(flux > 1e5, np.nan, flux)).value == pytest.approx(1.0, abs=1e-3)


def spoiled(kind):
    flux, ivar, z = power_law(0.5)[None].copy(), np.ones((1, len(grid.WAVE))), np.array([0.1])
    if kind == "masked":
        ivar[0, (grid.WAVE > 4240) & (grid.WAVE < 4275)] = 0
    if kind == "all masked":
        ivar[:] = 0
    if kind == "all nan":
        flux[:] = np.nan
    if kind == "negative":
        flux[0, grid.WAVE < 4400] = -1
    z[:] = {"blue end": 0.03, "no redshift": np.nan, "red end": 1.2}.get(kind, 0.1)
    return flux, ivar, z


@pytest.mark.parametrize(
    "kind", ["masked", "all masked", "all nan", "negative", "blue end", "red end", "no redshift"]
)
def test_what_cannot_be_measured_is_nan_and_flagged(kind):
    flux, ivar, z = spoiled(kind)
    found = indices.break_strength(DN4000, flux, z, ivar)
    assert np.isnan(found.value).all() and np.isnan(found.error).all() and (found.warn == Warn.NO_INDEX).all()


def test_one_bad_spectrum_leaves_the_others_alone():
    flux = np.stack([power_law(1.0), power_law(1.0) * np.nan])
    found = measure(flux, np.array([0.1, 0.1]))
    assert found.value[0] == measure(power_law(1.0)).value[0] and list(found.warn) == [0, Warn.NO_INDEX]
