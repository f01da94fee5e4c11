"""Redshifts found blind: planted ones come back within their errors, impossible ones are flagged."""

import numpy as np
import pytest

import toy
from made_spectra import made
from sanspec import config
from sanspec.errors import Warn
from sanspec.redshift import eigen, eigenfit, redshifts
from sanspec.redshift.redshifts import measure_redshifts
from sanspec.spectra.grid import WAVE

NOISE = 0.05
SETTINGS = config.Redshift()


def spectrum(age, z):
    """Noiseless toy galaxies (gal, pix) at any redshift, of unit mean."""
    rest, age = WAVE / (1 + np.asarray(z)[:, None]), np.asarray(age)[:, None]
    flux = (rest / 6000) ** (-1.6 + 2 * age) * (1 - 0.4 * age / (1 + np.exp((rest - 4000) / 30)))
    for line, strength in toy.EMISSION:
        flux += strength * (1 - age) ** 2 * np.exp(-0.5 * ((rest - line) / 4) ** 2)
    for line, depth in toy.ABSORPTION:
        flux *= 1 - depth * age * np.exp(-0.5 * ((rest - line) / 9) ** 2)
    return flux / flux.mean(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def templates():
    """Eigenspectra of noiseless toy galaxies."""
    rng = np.random.default_rng(0)
    age, z = rng.uniform(0.05, 0.95, 200), rng.uniform(0.0, 0.3, 200)
    flux = spectrum(age, z)
    loglam, rest, weight = eigen.rest_frame(made(flux, z), floor=0.0, coverage=0.05)
    return eigenfit.Eigenspectra(loglam, eigen.empca(rest, weight, 5))


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(1)
    z = rng.uniform(0.01, 0.29, 60)
    clean = spectrum(rng.uniform(0.05, 0.95, 60), z)
    return z, clean, clean + NOISE * rng.normal(size=clean.shape)


@pytest.fixture(scope="module")
def found(templates, galaxies):
    flux = galaxies[2]
    return measure_redshifts(flux, np.full_like(flux, NOISE**-2), templates, SETTINGS)


def test_planted_redshifts_come_back_within_their_errors(galaxies, found):
    pulls = (found["z"] - galaxies[0]) / found["z_err"]
    assert (found["warn"] == 0).all()
    assert abs(pulls).max() < 5 and pulls.std() == pytest.approx(1.0, abs=0.25)
    assert abs(pulls.mean()) < 0.5


def test_one_by_one_is_the_same_as_together(templates, galaxies, found):
    flux = galaxies[2]
    for row in (3, 17):
        alone = measure_redshifts(
            flux[row : row + 1], np.full((1, len(WAVE)), NOISE**-2), templates, SETTINGS
        )
        assert alone["z"].item() == pytest.approx(found["z"][row], abs=1e-9)
        assert alone["delta_chi2"].item() == pytest.approx(found["delta_chi2"][row], rel=1e-6)


def test_scale_of_flux_and_weight(templates, galaxies, found):
    """Flux in any unit; twice the weight, half the variance; correlated noise widens what it should."""
    flux, some = galaxies[2][:8], found[:8]
    scaled = measure_redshifts(1e3 * flux, np.full_like(flux, NOISE**-2), templates, SETTINGS)
    heavier = measure_redshifts(flux, np.full_like(flux, 4 * NOISE**-2), templates, SETTINGS)
    inflated = measure_redshifts(
        flux, np.full_like(flux, NOISE**-2), templates, SETTINGS, inflation=np.full(8, 4.0)
    )
    for other, factor in ((scaled, 1e-3), (heavier, 0.5), (inflated, 2.0)):
        assert other["z"].to_numpy() == pytest.approx(some["z"].to_numpy(), abs=1e-8)
        assert other["z_err"].to_numpy() == pytest.approx(factor * some["z_err"].to_numpy(), rel=1e-3)
    assert inflated["delta_chi2"].to_numpy() == pytest.approx(some["delta_chi2"].to_numpy() / 4)


def test_gaps_and_masked_garbage_do_no_harm(templates, galaxies):
    z, _, flux = (array[:10] for array in galaxies)
    weight, spoiled = np.full_like(flux, NOISE**-2), flux.copy()
    bad = np.random.default_rng(2).random(flux.shape) < 0.1
    bad[:, :400] = True
    weight[bad] = 0
    spoiled[bad] = np.where(np.arange(bad.sum()) % 2, np.nan, 1e9)
    again = measure_redshifts(spoiled, weight, templates, SETTINGS)
    assert abs(again["z"] - z).max() < 6 * again["z_err"].max()


def test_an_additive_slope_is_no_redshift_information(templates, galaxies):
    z, clean, _ = (array[:6] for array in galaxies)
    tilted = clean + 0.4 * (WAVE - 6000) / 2000 + 0.2
    again = measure_redshifts(tilted, np.full_like(clean, NOISE**-2), templates, SETTINGS)
    assert again["z"].to_numpy() == pytest.approx(z, abs=1e-5)


def test_templates_that_end_early_do_not_repel_the_truth(templates):
    """Eigenspectra of a narrow range of z do not reach all pixels elsewhere; no redshift gains by that."""
    use = (templates.loglam > np.log10(3700)) & (templates.loglam < np.log10(7400))
    short = eigenfit.Eigenspectra(templates.loglam[use], templates.vectors[:, use])
    z = np.array([0.005, 0.02, 0.16, 0.24, 0.29])
    flux = spectrum(np.array([0.2, 0.9, 0.5, 0.9, 0.1]), z)
    flux = flux + NOISE * np.random.default_rng(3).normal(size=flux.shape)
    again = measure_redshifts(flux, np.full_like(flux, NOISE**-2), short, SETTINGS)
    assert again["z"].to_numpy() == pytest.approx(z, abs=5e-4)


@pytest.mark.parametrize("kind", ["no weight", "all nan", "few pixels", "beyond the range", "constant"])
def test_what_has_no_redshift_is_flagged(templates, kind):
    flux = spectrum(np.array([0.4]), np.array([0.35 if kind == "beyond the range" else 0.1]))
    weight = np.full_like(flux, NOISE**-2)
    settings = SETTINGS
    if kind == "no weight":
        weight[:] = 0
    if kind == "all nan":
        flux[:] = np.nan
    if kind == "few pixels":
        weight[:, :3000] = 0
    if kind == "beyond the range":
        settings = config.Redshift(z_min=0.3, z_max=0.3498)
    if kind == "constant":
        flux[:] = 1.0
    row = measure_redshifts(flux, weight, templates, settings).iloc[0]
    unsure = Warn.AMBIGUOUS_REDSHIFT if kind == "constant" else Warn.NO_REDSHIFT
    assert int(row["warn"]) & (unsure | Warn.NO_REDSHIFT)
    assert kind == "constant" or (np.isnan(row["z"]) and np.isnan(row["z_err"]))


def test_noise_alone_is_ambiguous(templates):
    noise = np.random.default_rng(4).normal(size=(40, len(WAVE)))
    found = measure_redshifts(noise, np.ones_like(noise), templates, SETTINGS)
    assert (found["warn"] != 0).mean() > 0.8


def test_one_bad_spectrum_leaves_the_others_alone(templates, galaxies, found):
    flux = np.concatenate([galaxies[2][:2], np.full((1, len(WAVE)), np.nan)])
    again = measure_redshifts(flux, np.full_like(flux, NOISE**-2), templates, SETTINGS)
    assert again["z"][:2].to_numpy() == pytest.approx(found["z"][:2].to_numpy(), abs=1e-8)
    assert again["warn"][2] == Warn.NO_REDSHIFT


def test_peaks_are_high_and_apart():
    x = np.linspace(0, 1, 1001)
    heights = ((0.2, 1.0), (0.23, 0.9), (0.6, 0.8), (0.9, 0.5))
    gains = sum(height * np.exp(-0.5 * ((x - place) / 0.004) ** 2) for place, height in heights)
    assert list(x[redshifts.separate_peaks(x, gains, 0.05)]) == pytest.approx([0.2, 0.6, 0.9])
    assert redshifts.separate_peaks(x, np.zeros_like(x), 0.05) == []


@pytest.mark.parametrize("z", [0.0, 0.1234, 0.3])
def test_trials_reach_beyond_both_ends(z):
    shifts = redshifts.trial_shifts(SETTINGS)
    assert shifts[0] < np.log1p(z) < shifts[-1]
    assert np.diff(shifts) == pytest.approx(SETTINGS.step * np.log(10))


def test_the_pipeline_s_own_eigenspectra_agree(real_data, templates):
    """The SDSS pipeline's galaxy eigenspectra find the same redshifts of the same galaxies (oracle)."""
    from astropy.io import fits

    with fits.open(real_data / "spEigenGal-56436.fits") as hdus:
        vectors, header = np.array(hdus[0].data, float), hdus[0].header
    loglam = header["COEFF0"] + header["COEFF1"] * np.arange(vectors.shape[1])
    sdss = eigenfit.Eigenspectra(loglam, vectors)
    fitter = eigenfit.Fitter(sdss, 0)
    z = np.array([0.02, 0.1, 0.28])
    rng = np.random.default_rng(5)
    flux = np.array([np.array([3.0, 0.1, 0.2, 0.1]) @ fitter.basis(np.log1p(one)) for one in z])
    flux = flux / flux.mean(axis=1, keepdims=True)
    flux = flux + 0.02 * rng.normal(size=flux.shape)
    found = measure_redshifts(flux, np.full_like(flux, 0.02**-2), sdss, SETTINGS)
    assert found["z"].to_numpy() == pytest.approx(z, abs=3e-5)
