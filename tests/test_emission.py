"""Emission lines: recovered fluxes, widths bounded by the instrument, blends, errors, absence, bad input."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st
from specutils import Spectrum
from specutils.analysis import equivalent_width, line_flux

from noise_draws import draw_noise
from sanspec import config
from sanspec.errors import Warn
from sanspec.features import emission, profiles
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.physics.lines import EMISSION_LINES
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra

SETTINGS = config.Lines()
Z = 0.1
FLUXES = {
    "h_beta": 4.0,
    "o_iii_5007": 6.0,
    "o_i_6300": 0.8,
    "h_alpha": 12.0,
    "n_ii_6583": 5.0,
    "s_ii_6716": 2.5,
    "s_ii_6731": 2.0,
}
LSF = 10 / 3


def gaussians(fluxes, z=Z, sigma=120.0, v=0.0, lsf=LSF):
    """Lines (pix) of observed-frame fluxes, broadened by `sigma` [km/s] and the line spread, on grid.WAVE."""
    total = np.zeros(4500)
    for name, flux in fluxes.items():
        kms = sigma[name] if isinstance(sigma, dict) else sigma
        for wave, ratio in EMISSION_LINES[name].members:
            centre = wave * (1 + z) * (1 + v / C_KMS)
            width = np.hypot(lsf / FWHM_PER_SIGMA, kms / C_KMS * centre)
            total += (
                flux
                * ratio
                * np.exp(-0.5 * ((grid.WAVE - centre) / width) ** 2)
                / (np.sqrt(2 * np.pi) * width)
            )
    return total


def spectra(flux, ivar=1e4, z=Z, correlation=None, lsf=LSF):
    """`Spectra` of one or more fluxes."""
    flux = np.atleast_2d(flux)
    count, ones = len(flux), np.ones(len(flux))
    near = np.zeros((0, 4500)) if correlation is None else correlation
    weights = np.broadcast_to(np.asarray(ivar, float), flux.shape)
    near = np.broadcast_to(near, (count, *near.shape))
    ids, warn = np.arange(count).astype(np.uint64), np.zeros(count, np.uint32)
    return Spectra("observed", ids, z * ones, flux, weights, near, np.full(flux.shape, lsf), ones, warn)


def lines_of(one):
    """Lines of spectra less a flat continuum of one."""
    return emission.emission_lines(one, np.ones(one.flux.shape), SETTINGS)


def fit(flux, stars=1.0, **more):
    one = spectra(flux, **more)
    return emission.emission_lines(one, np.broadcast_to(stars, one.flux.shape), SETTINGS)[0]


# ---------------------------------------------------------------------------------------------- recovery


@settings(max_examples=12, deadline=None)
@given(st.floats(0.05, 0.14), st.floats(0, 350), st.floats(-200, 200))
def test_noiseless_lines_come_back_at_any_redshift_width_and_velocity(z, sigma, v):
    found = fit(1 + gaussians(FLUXES, z, sigma, v), z=z)
    for name, flux in FLUXES.items():
        if not found[name].warn:  # but for a line on a night-sky line
            assert found[name].flux == pytest.approx(flux, rel=2e-3), name
    if not found["h_alpha"].warn and sigma > 20:
        assert found["h_alpha"].sigma == pytest.approx(sigma, abs=2)
        assert found["h_alpha"].v == pytest.approx(v, abs=1)


def test_no_line_is_narrower_than_the_instrument():
    """A spike of one pixel fits the line spread, not less: its dispersion is 0, its flux that of the profile."""
    flux = 1 + gaussians({"h_alpha": 12.0, "n_ii_6583": 5.0}, sigma=0.0, lsf=2.0)
    found = fit(flux)["h_alpha"]
    assert found.sigma == pytest.approx(0, abs=1) and found.flux > 0
    assert fit(1 + gaussians(FLUXES, sigma=0.0))["h_alpha"].flux == pytest.approx(12.0, rel=2e-3)


def test_blended_lines_of_different_widths_are_separated():
    sigma = dict.fromkeys(FLUXES, 60.0) | {"n_ii_6583": 260.0, "o_iii_5007": 200.0}
    found = fit(1 + gaussians(FLUXES, sigma=sigma), ivar=1e6)
    for name in ("h_alpha", "n_ii_6583", "h_beta", "o_iii_5007"):
        assert found[name].flux == pytest.approx(FLUXES[name], rel=5e-3)
        assert found[name].sigma == pytest.approx(sigma[name], abs=4)


def test_a_weak_line_takes_the_kinematics_of_the_strong():
    weak = FLUXES | {"o_iii_5007": 0.03}
    found = fit(1 + gaussians(weak, sigma=180.0, v=90.0))
    assert found["o_iii_5007"].sigma == pytest.approx(180, abs=2)
    assert found["o_iii_5007"].v == pytest.approx(90, abs=2)


def test_a_residual_continuum_does_not_enter():
    tilt = 0.05 * (grid.WAVE - 6000) / 1000
    found = fit(1.02 + tilt + gaussians(FLUXES))
    assert found["h_alpha"].flux == pytest.approx(12.0, rel=3e-3)


def test_negative_lines_are_measured_as_negative_and_are_absent():
    found = fit(1 + gaussians(FLUXES | {"h_beta": -1.0}))
    assert found["h_beta"].flux == pytest.approx(-1.0, rel=0.05)
    assert not emission.present(np.array(found["h_beta"].flux), np.array(found["h_beta"].error), 0.0)


def test_the_flux_is_that_of_specutils():
    lines = gaussians({"h_alpha": 12.0})
    near = np.abs(grid.WAVE - 6564.608 * (1 + Z)) < 60
    unit = u.Unit("1e-17 erg s-1 cm-2 AA-1")
    theirs = line_flux(Spectrum(spectral_axis=grid.WAVE[near] * u.AA, flux=lines[near] * unit)).value
    assert fit(1 + lines)["h_alpha"].flux == pytest.approx(theirs, rel=2e-3)


# --------------------------------------------------------------------------------------------- the model


def test_the_derivatives_are_those_of_the_model():
    window = emission.cut(spectra(1 + gaussians(FLUXES)), np.ones((1, 4500)), 0)["red"]
    model = profiles.start_model(window, ("h_alpha", "n_ii_6583"), (0, 1))
    at = np.array([12.0, 5.0, 30.0, 110.0, -20.0, 180.0, 0.1, 0.02])
    columns = model.fit_deriv(window.wave, *at)
    for k, column in enumerate(columns):
        step = np.zeros(8)
        step[k] = 1e-4
        numeric = (
            model.evaluate(window.wave, *(at + step)) - model.evaluate(window.wave, *(at - step))
        ) / 2e-4
        assert column == pytest.approx(numeric, abs=1e-5), model.param_names[k]


def test_a_line_s_profile_has_its_flux():
    window = emission.cut(spectra(np.ones(4500)), np.ones((1, 4500)), 0)["red"]
    model = profiles.start_model(window, ("h_alpha", "n_ii_6583"), (0, 0))
    values = model.evaluate(window.wave, 3.0, 0.0, 0.0, 150.0, 0.0, 0.0)
    assert np.trapezoid(values, window.wave) == pytest.approx(3.0, rel=1e-4)
    ratio = 1 + EMISSION_LINES["n_ii_6583"].tied[0][1]
    values = model.evaluate(window.wave, 0.0, 2.0, 0.0, 150.0, 0.0, 0.0)
    assert np.trapezoid(values, window.wave) == pytest.approx(2.0 * ratio, rel=1e-4)


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("correlated", [False, True])
def test_errors_are_the_scatter_of_the_noise(correlated):
    rng, ivar = np.random.default_rng(7), np.full(4500, 30.0**2)
    near = np.outer([0.7, 0.35, 0.1] if correlated else [0.0], np.ones(4500))
    drawn = 1 + gaussians(FLUXES) + draw_noise(ivar, near, rng, 120)
    found = lines_of(spectra(drawn, ivar=ivar, correlation=near))
    for name in ("h_beta", "h_alpha", "n_ii_6583", "s_ii_6716"):
        pulls = [(one[name].flux - FLUXES[name]) / one[name].error for one in found]
        assert np.std(pulls) == pytest.approx(1.0, abs=0.22) and abs(np.mean(pulls)) < 0.35, name
    if correlated:
        alone = lines_of(spectra(drawn[:1], ivar=ivar))[0]
        assert 1.4 < found[0]["h_beta"].error / alone["h_beta"].error < 2.0


def test_a_predicted_spectrum_borrows_the_noise_of_its_pair():
    observed = spectra(1 + gaussians(FLUXES), ivar=400.0)
    pair = replace(observed, kind="predicted", ivar=np.zeros((1, 4500))).with_noise_of(observed)
    assert (pair.ivar == 400.0).all()
    both = [lines_of(one)[0]["h_alpha"] for one in (observed, pair)]
    assert both[0].error == pytest.approx(both[1].error, rel=1e-6)


# ------------------------------------------------------------------------------------ equivalent widths


def test_the_width_is_at_rest_and_that_of_specutils_with_the_sign_changed():
    found = fit(1 + gaussians(FLUXES))["h_alpha"]
    level = emission.continuum(np.ones((1, 4500)), np.array([Z]), 6564.608)[0] * (1 + Z)
    ours = emission.equivalent_width(EMISSION_LINES["h_alpha"], found, LSF / (1 + Z), level)
    assert ours == pytest.approx(12.0 / (1 + Z), rel=3e-3)
    rest, lines = grid.WAVE / (1 + Z), gaussians({"h_alpha": 12.0})
    near = np.abs(rest - 6564.6) < 40
    flux = (1 + lines[near]) * u.dimensionless_unscaled
    theirs = equivalent_width(Spectrum(spectral_axis=rest[near] * u.AA, flux=flux), continuum=1).value
    assert theirs < 0 and ours == pytest.approx(-theirs, rel=3e-3)


def test_the_continuum_is_that_next_to_the_line():
    stars = np.where(np.abs(grid.WAVE / (1 + Z) - 6564.6) < 20, 0.6, 2.0)[None]  # a deep absorption
    assert emission.continuum(stars, np.array([Z]), 6564.608) == pytest.approx(2.0)
    broken = stars.copy()
    broken[0, np.abs(grid.WAVE / (1 + Z) - 6630) < 3] = np.nan
    for bad in (broken, -stars):
        assert np.isnan(emission.continuum(bad, np.array([Z]), 6564.608)).all()
    assert np.isnan(emission.continuum(stars, np.array([np.nan]), 6564.608)).all()


# ---------------------------------------------------------------------------------- absence and bad input


def test_the_rule_of_absence():
    flux, error = np.array([3.0, 1.0, -1.0, 2.0, np.nan]), np.array([1.0, 1.0, 1.0, np.nan, 1.0])
    assert list(emission.present(flux, error, 0.0)) == [True, True, False, True, False]
    assert list(emission.present(flux, error, 2.0)) == [True, False, False, True, False]


def test_a_line_on_a_night_sky_line_is_not_measured():
    z = 5578.9 / 5008.24 - 1
    found = fit(1 + gaussians(FLUXES, z), z=z)
    assert np.isnan(found["o_iii_5007"].flux) and found["o_iii_5007"].warn & Warn.NO_LINE
    assert found["h_alpha"].flux == pytest.approx(12.0, rel=3e-3) and not found["h_alpha"].warn


def test_a_broad_line_is_flagged_and_not_measured():
    """The narrow-line fit of a broad-line nucleus lies at its bound and gives no value."""
    found = fit(1 + gaussians({"h_alpha": 60.0}, sigma=1800.0), ivar=1e4)
    assert np.isnan(found["h_alpha"].flux)
    assert found["h_alpha"].warn & Warn.NO_LINE and found["h_alpha"].warn & Warn.AT_BOUND


def test_masked_and_missing_spectra_have_no_lines():
    core = np.abs(grid.WAVE - 6564.6 * 1.1) < 6
    found = fit(1 + gaussians(FLUXES), ivar=np.where(core, 0.0, 1e4))
    assert found["h_alpha"].warn & Warn.NO_LINE and not found["h_beta"].warn
    for flux, ivar, z in (
        (np.full(4500, np.nan), 1e4, Z),
        (np.ones(4500), 0.0, Z),
        (np.ones(4500), 1e4, np.nan),
    ):
        found = fit(flux, ivar=ivar, z=z)
        assert all(np.isnan(one.flux) and one.warn & Warn.NO_LINE for one in found.values())


def test_a_spectrum_without_starlight_has_no_lines():
    found = fit(1 + gaussians(FLUXES), stars=np.full(4500, np.nan))
    assert all(one.warn & Warn.NO_LINE for one in found.values())


def test_lines_beyond_the_grid_are_not_measured_and_the_others_are():
    found = fit(1 + gaussians(FLUXES, 0.28), z=0.28)
    assert found["s_ii_6731"].warn & Warn.NO_LINE and found["h_beta"].flux == pytest.approx(4.0, rel=3e-3)


def test_one_bad_spectrum_leaves_the_others_alone():
    flux = np.stack([1 + gaussians(FLUXES), np.full(4500, np.nan)])
    one, other = lines_of(spectra(flux))
    assert one["h_alpha"].flux == pytest.approx(12.0, rel=3e-3) and other["h_alpha"].warn & Warn.NO_LINE
