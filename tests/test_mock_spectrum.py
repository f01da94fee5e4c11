"""Spectra of the simulated sky: where lines fall, how broad they are, what noise they bear."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanspec.mock import galaxy, gas, night, population, spectrum, stars
from sanspec.spectra.grid import LOGLAM_STEP as STEP
from sanspec.survey import specfile
from sanspec.survey.sdss import PixMask
from sky import emiles, tools  # noqa: F401

NONE = np.zeros(stars.PIXELS)
FLAT = np.ones(night.PIXELS)


def line(wave, sigma):
    """A rest-frame spectrum of one line, flux 1 in total, `sigma` pixels wide, integrated over pixels."""
    centre = np.log10(wave) / STEP - stars.FIRST
    x = np.arange(stars.PIXELS) - centre
    return np.exp(-0.5 * (x / sigma) ** 2) / sigma / np.sqrt(2 * np.pi) / (stars.WAVE * np.log(10) * STEP)


def moments(flux):
    """Total flux, centroid and variance [pixels] of a spectrum on night.WAVE, per pixel."""
    counts = flux * night.WAVE * np.log(10) * STEP
    pixel = np.arange(night.PIXELS)
    mean = (counts * pixel).sum() / counts.sum()
    return counts.sum(), mean, (counts * (pixel - mean) ** 2).sum() / counts.sum()


@given(st.floats(0.05, 0.15), st.floats(4200, 7500), st.floats(60, 300))
@settings(max_examples=40, deadline=None)
def test_lines_stand_at_their_redshifted_wavelength(z, wave, vdisp):
    """Within 2 km/s: a slip of half a pixel would be 34."""
    seen = spectrum.observe(line(wave, 1.5), NONE, z, vdisp, FLAT)
    _, centre, _ = moments(seen)
    wanted = np.log10(wave * (1 + z)) / STEP - night.FIRST
    assert abs(centre - wanted) * spectrum.PIXEL_KMS < 2.0


@given(st.floats(0.05, 0.15), st.floats(80, 320))
@settings(max_examples=20, deadline=None)
def test_lines_are_as_broad_as_star_and_instrument(z, vdisp):
    """Variance = vdisp^2 + wdisp^2: what the library has of its own is not added twice."""
    sigma = 1.1
    rest = line(5500.0, np.sqrt(sigma**2 + spectrum.BOXES / 2))  # the library's pixels add theirs
    seen = spectrum.observe(rest, np.full(stars.PIXELS, sigma), z, vdisp, 0.9 * FLAT)
    _, _, variance = moments(seen)
    assert variance == pytest.approx((vdisp / spectrum.PIXEL_KMS) ** 2 + 0.9**2, rel=0.01)


def test_broadening_conserves_flux():
    rest = line(5500.0, 1.3)
    counts = (rest * stars.WAVE * np.log(10) * STEP).sum()
    total, _, _ = moments(spectrum.observe(rest, NONE, 0.1, 200.0, FLAT))
    assert total / 1.1 == pytest.approx(counts, rel=1e-4)  # still per rest-frame Angstrom


def test_a_constant_stays_constant():
    seen = spectrum.observe(np.ones(stars.PIXELS), 0.9 + NONE, 0.1, 150.0, FLAT)
    assert np.allclose(seen, 1, atol=1e-4)


def test_the_library_is_left_alone_where_it_is_broader():
    """A library of 3 pixels cannot be sharpened to 1."""
    seen = spectrum.observe(line(5500.0, 3.0), np.full(stars.PIXELS, 3.0), 0.1, 50.0, FLAT)
    assert moments(seen)[2] == pytest.approx(9.0, rel=0.02)


@given(st.floats(0.05, 0.15), st.floats(30, 300))
@settings(max_examples=20, deadline=None)
def test_emission_lines_hold_their_flux_place_and_width(z, kms):
    flux = np.zeros(len(gas.LINES))
    flux[gas.INDEX["[O_III] 5007"]] = 3.0
    seen = spectrum.emission(flux, z, np.full(flux.size, kms), FLAT)
    total, centre, variance = moments(seen)
    assert total == pytest.approx(3.0, rel=1e-4)
    assert abs(centre + night.FIRST - np.log10(5008.240 * (1 + z)) / STEP) * spectrum.PIXEL_KMS < 2
    assert variance == pytest.approx((kms / spectrum.PIXEL_KMS) ** 2 + 1, rel=0.02)


def test_no_template_moves_by_half_a_pixel(tools):  # noqa: F811
    """An old template, observed at two redshifts, correlates with itself at the right shift (2 km/s)."""
    rest = tools.stars.flux.reshape(25, 6, -1)[20, 4]
    low, high = (spectrum.observe(rest, tools.stars.sigma, z, 150.0, FLAT) for z in (0.06, 0.12))
    shift = np.log10(1.12 / 1.06) / STEP
    use, fine = slice(900, 2600), np.arange(-1.0, 1.01, 0.01)
    pixel = np.arange(night.PIXELS)
    scores = [
        np.corrcoef(np.diff(np.interp(pixel[use] + shift + d, pixel, high)), np.diff(low[use]))[0, 1]
        for d in fine
    ]
    assert abs(fine[int(np.argmax(scores))]) * spectrum.PIXEL_KMS < 2.0


# ----------------------------------------------------------------------------------------------------- noise


def exposures(level, count=60):
    """Spectra of a flat source."""
    rng = np.random.default_rng(11)
    return [spectrum.expose(level * FLAT, night.DISPERSION, 0.0, 18.0, rng) for _ in range(count)]


def test_pulls_have_unit_width_away_from_sky_lines():
    """Stated ivar against the scatter about the noiseless model, over 100,000 pixels."""
    pulls = []
    for seen in exposures(15.0):
        quiet = (seen.ivar > 0) & ((seen.and_mask & PixMask.BRIGHTSKY) == 0)
        pulls.append(((seen.flux - seen.model) * np.sqrt(seen.ivar))[quiet])
    pulls = np.concatenate(pulls)
    assert pulls.size > 1e5 and pulls.mean() == pytest.approx(0, abs=0.02)
    assert pulls.std() == pytest.approx(1, abs=0.02)


def test_spectra_have_the_survey_s_coverage():
    seen = exposures(15.0, 20)
    assert {3808 <= one.flux.size <= 3848 for one in seen} == {True} and len({one.first for one in seen}) > 3
    assert all(one.wave[0] < 3840 and one.wave[-1] > 9100 for one in seen)
    zero = np.mean([(one.ivar == 0).mean() for one in seen])
    assert 0 < zero < 0.002 and all(
        np.all((one.and_mask[one.ivar == 0] & PixMask.NODATA) > 0) for one in seen
    )


def test_noise_and_resolution_are_those_of_real_spectra(real_data):
    """Median error per pixel and LSF of real galaxies of 8-40e-17 in four windows: to 30 and 12 per cent."""
    real = [specfile.read(path) for path in sorted((real_data / "spectra/window_005_015").glob("*.fits"))]
    for low, high in ((4300, 4500), (5100, 5400), (6500, 6800), (7600, 8000)):
        rows = []
        for one in real:
            use = (10**one.loglam > low) & (10**one.loglam < high) & (one.ivar > 0)
            flux = np.median(one.flux[use])
            if 8 < flux < 40:
                ours = exposures(flux, 3)
                inside = [(o.wave > low) & (o.wave < high) & (o.ivar > 0) for o in ours]
                error = np.median([np.median(o.ivar[i] ** -0.5) for o, i in zip(ours, inside)])
                wdisp = np.median(ours[0].wdisp[inside[0]])
                rows.append((error / np.median(one.ivar[use] ** -0.5), wdisp / np.median(one.wdisp[use])))
        noise, width = np.median(rows, axis=0)
        assert noise == pytest.approx(1, abs=0.3) and width == pytest.approx(1, abs=0.12)


# -------------------------------------------------------------------------------------------------- galaxies


def test_the_fibre_s_spectrum_has_the_image_s_light(tools):  # noqa: F811
    """The noiseless spectrum's synthetic r flux is the fibre magnitude, but for calibration errors."""
    ratios = []
    for seed in range(12):
        seen = tools.simulate(np.random.default_rng([9, seed]))
        weights = np.interp(seen.spectrum.wave, stars.SKY_WAVE, tools.filters[2])
        ratios.append((seen.spectrum.model * 1e-17 * weights).sum() / seen.photometry.fibre[2])
    assert np.median(ratios) == pytest.approx(1, abs=0.08) and np.std(np.log(ratios)) < 0.15


def test_a_galaxy_depends_on_its_own_seed_alone(tools):  # noqa: F811
    one, two = (tools.simulate(np.random.default_rng([9, 3])) for _ in range(2))
    assert np.array_equal(one.cube, two.cube) and np.array_equal(one.spectrum.flux, two.spectrum.flux)
    other = tools.simulate(np.random.default_rng([9, 4]))
    assert not np.array_equal(one.cube, other.cube)


def test_the_sample_is_cut_as_the_main_galaxy_sample(tools):  # noqa: F811
    """Petrosian r, surface brightness and fibre magnitude, each just inside and just outside."""
    seen = tools.simulate(np.random.default_rng([9, 1])).photometry
    bright = dataclasses.replace(
        seen, petro=np.full(5, 10**2.0), petro_r50=np.full(5, 2.0), fibre=np.full(5, 40.0)
    )
    assert galaxy.selected(bright, 0.0)
    at_limit = 10 ** (0.4 * (22.5 - population.FLUX_LIMIT))
    for changes in (
        {"petro": np.full(5, 0.999 * at_limit)},
        {"petro_r50": np.full(5, 30.0)},
        {"fibre": np.full(5, 2e3)},
    ):
        assert not galaxy.selected(dataclasses.replace(bright, **changes), 0.0)
    assert galaxy.selected(dataclasses.replace(bright, petro=np.full(5, 0.999 * at_limit)), 0.01)


def test_dn4000_of_a_flat_f_nu_is_one():
    assert galaxy.dn4000(night.WAVE**-2.0, 0.1) == pytest.approx(1, abs=1e-6)


def test_dn4000_grows_with_age(tools):  # noqa: F811
    """Solar SSPs of 0.1, 1 and 12.6 Gyr: about 1.1, 1.5 and 2.0 (science of Balogh et al. 1999's index)."""
    values = []
    for age in (0.1, 1.0, 12.6):
        rest = tools.stars.flux.reshape(25, 6, -1)[np.argmin(np.abs(tools.stars.ages - age)), 4]
        values.append(galaxy.dn4000(spectrum.observe(rest, tools.stars.sigma, 0.08, 100.0, FLAT), 0.08))
    assert values[0] < 1.25 < values[1] < 1.7 < values[2] < 2.2
