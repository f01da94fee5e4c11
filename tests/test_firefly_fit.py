"""One spectrum through the whole of FIREFLY: what is put in comes out, whatever the spectrum looks like."""

from dataclasses import replace

import numpy as np
import pytest

import made_populations as made
from made_populations import matched, solve, spectrum
from sanspec.config import Firefly, Stellar
from sanspec.errors import Warn, reasons
from sanspec.physics import dust
from sanspec.spectra import grid
from sanspec.stellar import results
from sanspec.stellar.firefly.clean import CleanFit, relative_transmission
from sanspec.stellar.firefly.fit import ASSUMED_VDISP, fit
from sanspec.stellar.firefly.match import near_emission

MIX = {4: 0.5, 14: 0.5}  # 2.5 Gyr at [Z] = -0.33, 8 Gyr at solar
SETTINGS = Stellar()


def truth(shares, one, vdisp=150.0):
    """Light-weighted log age and metallicity of a mixture; shares of the light before dust, which is grey
    here.
    """
    library = made.library()
    places, parts = np.array(list(shares)), np.array(list(shares.values()))
    return np.log10(parts @ library.age[places]) + 9, np.log10(parts @ 10 ** library.metal[places])


def with_settings(**changed):
    """Settings with some of FIREFLY's changed."""
    return SETTINGS.model_copy(update={"firefly": Firefly(**changed)})


def quantities(row):
    return {name.name: row[name.name] for name in results.QUANTITIES}


# --------------------------------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("shares, ebv", [({12: 1.0}, 0.1), (MIX, 0.3), ({1: 0.3, 22: 0.7}, 0.2)])
def test_populations_are_recovered(shares, ebv):
    one = spectrum(shares, ebv=ebv, snr=60)
    found = solve(one)
    age, metal = truth(shares, one)
    assert found.values["log_age_light"] == pytest.approx(age, abs=0.12)
    assert found.values["metal_light"] == pytest.approx(metal, abs=0.08)
    assert found.values["ebv_stars"] == pytest.approx(ebv, abs=0.05)
    assert found.chi2 == pytest.approx(1.0, abs=0.15)


def test_errors_grow_with_noise():
    good, poor = ([solve(spectrum(MIX, snr=snr, seed=seed)).errors for seed in (1, 2, 3)] for snr in (150, 5))
    for name in ("log_age_light", "metal_light", "ebv_stars"):
        assert 0 < sum(e[name] for e in good) < sum(e[name] for e in poor) < 3


def test_brightness_changes_masses_alone():
    one = spectrum(MIX)
    bright = replace(one, flux=10 * one.flux, noise=10 * one.noise)
    first, second = solve(one), solve(bright)
    for name in ("log_age_light", "log_age_mass", "metal_light", "metal_mass", "ebv_stars", "ml"):
        assert second.values[name] == pytest.approx(first.values[name], abs=1e-6)
    for name in ("log_mass", "log_mass_formed"):
        assert second.values[name] - first.values[name] == pytest.approx(1.0, abs=1e-6)


def test_mass_is_the_light_times_its_mass_to_light_undimmed():
    masses = [solve(spectrum({12: 1.0}, ebv=ebv, snr=200)).values["log_mass_formed"] for ebv in (0.0, 0.4)]
    # both spectra have median 1, so that the second, seen through 10^(-0.4 x 0.4 x k), is the more massive
    k = float(dust.calzetti(np.array([5600.0]))[0])
    assert masses[1] - masses[0] == pytest.approx(0.4 * 0.4 * k, abs=0.1)


def test_mass_in_stars_is_what_is_left():
    found = solve(spectrum(MIX))
    assert found.values["log_mass"] - found.values["log_mass_formed"] == pytest.approx(
        np.log10(0.7), abs=1e-9
    )


def test_mean_of_the_logs_lies_below_the_log_of_the_mean():
    shares = {1: 0.5, 22: 0.5}
    linear, log = (
        solve(spectrum(shares), settings=with_settings(averages=kind)) for kind in ("linear", "log")
    )
    library = made.library()
    mean = 0.5 * (np.log10(library.age[1]) + np.log10(library.age[22])) + 9
    assert log.values["log_age_light"] == pytest.approx(mean, abs=0.15)
    assert log.values["log_age_light"] < linear.values["log_age_light"] - 0.3


def test_what_stands_at_masked_lines_does_not_matter():
    one = spectrum(MIX)
    rest = one.wave / (1 + one.z)
    gas = 30 * near_emission(rest, 15.0)
    assert solve(replace(one, flux=one.flux + gas)).values == solve(one).values


def test_cosmic_rays_are_clipped():
    one = spectrum(MIX)
    hit = one.flux.copy()
    hit[1000:3000:211] += 5.0
    clipped, plain = solve(replace(one, flux=hit)), solve(one)
    assert clipped.values["log_age_light"] == pytest.approx(plain.values["log_age_light"], abs=0.1)


@pytest.mark.parametrize("absurd", [1e12, -1e200])
def test_absurd_pixels_are_left_out(absurd):
    one = spectrum(MIX)
    hit = one.flux.copy()
    hit[1234] = absurd
    masked = replace(one, mask=one.mask & (np.arange(one.wave.size) != 1234))
    assert solve(replace(one, flux=hit)).values == solve(masked).values


def test_smooth_errors_of_calibration_are_taken_up():
    one = spectrum(MIX, snr=60)
    wave = (one.wave - one.wave.mean()) / np.ptp(one.wave)
    bent = replace(one, flux=one.flux * (1 + 0.03 * np.cos(40 * wave)))
    assert solve(bent).values["metal_light"] == pytest.approx(solve(one).values["metal_light"], abs=0.08)


def test_the_named_curve_can_be_what_dims_the_models():
    one = spectrum(MIX, ebv=0.3, snr=60)
    fit = CleanFit(matched(one), Firefly(attenuation="curve"))
    found, level = fit.solve(), np.median(fit.flux)
    assert found.values["ebv_stars"] == pytest.approx(0.3, abs=0.05)
    relative = fit.attenuation(fit.flux / level, fit.matched.error / level).relative
    assert np.allclose(relative, relative_transmission(found.values["ebv_stars"], fit.curve))


def test_a_nudge_of_a_thousandth_moves_ages_little():
    """The released tree moved by 0.023 dex in the median, 0.10 at most, for such a change."""
    one = spectrum(MIX, snr=30)
    nudge = 1 + 1e-3 * np.random.default_rng(4).standard_normal(one.wave.size)
    moved = solve(replace(one, flux=one.flux * nudge)).values["log_age_light"]
    assert moved == pytest.approx(solve(one).values["log_age_light"], abs=0.01)


# -------------------------------------------------------------------------------------------- rows and models


def row_of(one, vdisp=150.0, settings=SETTINGS, with_draws=False):
    return fit(one, made.library(), settings, vdisp, with_draws)


def test_a_row_has_every_column_and_the_model_fits():
    one = spectrum(MIX)
    row, model = row_of(one)
    assert set(row) == set(results.columns()) and row["warn"] == 0
    assert row["n_pix"] > 2000 and row["snr"] == pytest.approx(40, rel=0.15) and row["vdisp"] == 150.0
    assert np.isnan(row["v"]) and np.isnan(row["flux_h_alpha"])
    inside = np.isfinite(model.stars)
    rest = grid.WAVE[inside] / 1.1
    assert rest[0] < 3670 and rest[-1] > 7350
    assert np.std((one.flux - model.stars)[model.mask] * 40) == pytest.approx(1.0, abs=0.1)
    assert not model.mask[near_emission(grid.WAVE / 1.1, 19.0)].any()


def test_the_model_goes_on_below_masked_lines():
    one, noiseless = spectrum(MIX, snr=60), spectrum(MIX, snr=1e9)
    _, model = row_of(one)
    hidden = near_emission(grid.WAVE / 1.1, 15.0) & np.isfinite(model.stars) & np.isfinite(noiseless.flux)
    assert hidden.sum() > 300
    assert np.abs(model.stars / noiseless.flux - 1)[hidden].max() < 0.05


def test_draws_depend_on_seed_and_object_alone():
    settings = with_settings(draws=3)
    one = spectrum(MIX)
    first, second = (row_of(one, settings=settings, with_draws=True)[0] for _ in range(2))
    other = row_of(replace(one, specobjid=2), settings=settings, with_draws=True)[0]
    more = row_of(one, settings=with_settings(draws=4), with_draws=True)[0]
    assert first["n_draws"] == 3 and more["n_draws"] == 4
    assert first["log_age_light_boot"] == second["log_age_light_boot"]
    assert first["log_age_light_boot"] != other["log_age_light_boot"]
    assert first["log_age_light_std"] > 0 and np.isnan(row_of(one)[0]["log_age_light_std"])


def test_draws_scatter_about_as_much_as_new_noise_does():
    settings = with_settings(draws=12, flips="independent")
    drawn = row_of(spectrum(MIX, snr=25), settings=settings, with_draws=True)[0]
    again = [solve(spectrum(MIX, snr=25, seed=seed)).values["ebv_stars"] for seed in range(2, 14)]
    assert 0.3 < drawn["ebv_stars_std"] / np.std(again, ddof=1) < 3


def test_compat_mode_fills_the_same_columns():
    one = spectrum(MIX, ebv=0.2, snr=60)
    settings = with_settings(method="compat", draws=2)
    row, model = row_of(one, settings=settings, with_draws=True)
    age, metal = truth(MIX, one)
    assert row["log_age_light"] == pytest.approx(age, abs=0.3)
    assert row["metal_light"] == pytest.approx(metal, abs=0.3)
    assert row["log_age_light_err"] > 0 and np.isnan(row["ebv_stars_err"]) and row["n_draws"] == 2
    assert np.isfinite(model.stars).sum() > 3000
    assert np.median(np.abs(model.stars / one.flux - 1)[model.mask]) < 0.05


# -------------------------------------------------------------------------------------------------- bad input


def spoil(one, **changed):
    return replace(one, **changed)


FULL = grid.WAVE.size
BAD = {
    "all masked": lambda one: (spoil(one, mask=np.zeros(FULL, bool)), Warn.NO_SIGNAL),
    "all NaN": lambda one: (spoil(one, flux=np.full(FULL, np.nan)), Warn.NO_SIGNAL),
    "negative": lambda one: (spoil(one, flux=-one.flux), Warn.NO_SIGNAL),
    "zero": lambda one: (spoil(one, flux=0 * one.flux), Warn.NO_SIGNAL),
    "no noise": lambda one: (spoil(one, noise=0 * one.noise), Warn.NO_SIGNAL),
    "NaN noise": lambda one: (spoil(one, noise=np.full(FULL, np.nan)), Warn.NO_SIGNAL),
    "no redshift": lambda one: (spoil(one, z=np.nan), Warn.NO_REDSHIFT),
    "beyond the templates": lambda one: (spoil(one, z=2.0), Warn.SHORT_COVERAGE),
    "before them": lambda one: (spoil(one, z=-0.45), Warn.SHORT_COVERAGE),
    "10 pixels": lambda one: (cut(one, 10), Warn.SHORT_COVERAGE),
    "1 pixel": lambda one: (cut(one, 1), Warn.SHORT_COVERAGE),
}


def cut(one, pixels):
    names = ("wave", "flux", "noise", "mask", "fwhm")
    return replace(one, **{name: getattr(one, name)[1500 : 1500 + pixels] for name in names})


@pytest.mark.parametrize("method", ["clean", "compat"])
@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_fitted_keeps_its_row(kind, method):
    bad, reason = BAD[kind](spectrum(MIX))
    row, model = row_of(bad, settings=with_settings(method=method), with_draws=True)
    assert row["warn"] == Warn.NOT_FITTED | reason, reasons(row["warn"])
    assert all(np.isnan(value) for value in quantities(row).values())
    assert np.isnan(model.stars).all() and not model.mask.any()


@pytest.mark.parametrize("method", ["clean", "compat"])
def test_a_constant_spectrum_is_fitted_as_well_as_may_be(method):
    one = spectrum(MIX)
    row, _ = row_of(
        spoil(one, flux=np.ones(FULL), mask=np.ones(FULL, bool)), settings=with_settings(method=method)
    )
    assert not row["warn"] & Warn.NOT_FITTED and np.isfinite(row["log_age_light"])


@pytest.mark.parametrize("method", ["clean", "compat"])
def test_signal_to_noise_1_is_fitted_and_said(method):
    row, _ = row_of(spectrum(MIX, snr=1.0), settings=with_settings(method=method, draws=2), with_draws=True)
    assert row["warn"] & Warn.LOW_SNR and np.isfinite(row["log_age_light"]) and row["n_draws"] == 2
    assert np.isfinite(row["log_age_light_err"])


@pytest.mark.parametrize("vdisp", [np.nan, -1.0, np.inf])
def test_a_missing_dispersion_is_assumed_and_said(vdisp):
    row, _ = row_of(spectrum(MIX), vdisp=vdisp)
    assert row["warn"] == Warn.NO_VDISP and row["vdisp"] == ASSUMED_VDISP
    assert row["log_age_light"] == row_of(spectrum(MIX))[0]["log_age_light"]


def test_warnings_of_before_are_kept():
    row, _ = row_of(replace(spectrum(MIX), warn=int(Warn.AMBIGUOUS_REDSHIFT)))
    assert row["warn"] == Warn.AMBIGUOUS_REDSHIFT


def test_dust_at_its_bound_is_said():
    row, _ = row_of(spectrum(MIX, ebv=0.6), settings=with_settings(ebv_max=0.3))
    assert row["warn"] & Warn.AT_BOUND and row["ebv_stars"] == pytest.approx(0.3, abs=1e-3)
