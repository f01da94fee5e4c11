"""The compat mode against the records of the released code, and its parts against plain ones."""

import json

import numpy as np
import pytest
from astropy.io import fits

import made_populations
from sanspec.config import Firefly
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.stellar.firefly import compat
from sanspec.stellar.firefly.match import LINES, near_emission, oldest
from sanspec.stellar.library import open_library

NAMES = {
    "age_light": "age_lightW",
    "metal_light": "metallicity_lightW",
    "age_mass": "age_massW",
    "metal_mass": "metallicity_massW",
    "mass_formed": "total_mass",
}
RECORDS = [
    "NGC3522_SDSS_DR18_ss_zmin-2_m20",
    "lite-0266-51602-0573_ss_zmin-2_m20",
    "lite-0266-51630-0623_ss_zmin-2_m20",
    "spec-0266-51602-0001_ss_zmin-2_m0",
    "spec-0266-51602-0001_ss_zmin-2_m20",
    "spec-0266-51602-0162_ss_zmin-2_m20",
    "spec-0266-51602-0614_ss_zmin-2_m20",
    "spec-0266-51630-0174_ss_zmin-2_m20",
]


@pytest.fixture(scope="module")
def records(real_data):
    """The records and the library that they were made with."""
    runs = json.loads((real_data / "firefly" / "reference.json").read_text())["runs"]
    return real_data, runs, open_library(real_data / "firefly", "ss")


@pytest.fixture(scope="module", params=RECORDS)
def pair(records, request):
    """A record and our fit of its spectrum."""
    folder, runs, library = records
    record = runs[request.param]
    table = fits.getdata(folder / record["file"], 1)
    wave, flux, ivar = (np.asarray(table[name], float) for name in ("loglam", "flux", "ivar"))
    with np.errstate(divide="ignore"):
        error = ivar**-0.5
    settings = Firefly(line_mask=record["settings"]["N_angstrom_masked"])
    where = record["redshift"], record["vdisp"]
    matched = compat.downgrade(10.0**wave, flux, error, *where, library, settings.line_mask)
    return record, matched, compat.solve(matched, settings)


def test_every_record_is_tested(records):
    assert sorted(records[1]) == sorted(RECORDS)


def test_numbers_are_those_of_the_record(pair):
    record, _, ours = pair
    for name, theirs in NAMES.items():
        assert np.log10(ours.averages[name].value) == pytest.approx(record["header"][theirs], abs=1e-6)
    assert ours.ebv == pytest.approx(record["header"]["EBV"], abs=1e-6)
    assert ours.chi2 == pytest.approx(record["min_chi2"], rel=1e-10)


def test_as_many_solutions_are_looked_at(pair):
    record, matched, ours = pair
    assert ours.solutions == record["n_solutions"]
    assert ours.solutions_filtered == record["n_hpf_solutions"]
    assert len(matched.wave) == record["n_wave"]
    assert len(matched.age) == record["n_ssp"]


def test_intervals_are_those_of_the_record(pair):
    record, _, ours = pair
    for name, theirs in NAMES.items():
        for sigma in range(3):
            ends = ours.averages[name].low[sigma], ours.averages[name].high[sigma]
            keys = f"{theirs}_low_{sigma + 1}sig", f"{theirs}_up_{sigma + 1}sig"
            assert np.allclose(np.log10(ends), [record["header"][key] for key in keys], rtol=0, atol=1e-6)


# ------------------------------------------------------------------------------------------------------ parts


def test_broadening_is_the_plain_sum():
    rng = np.random.default_rng(1)
    lam = 4000 + 0.9 * np.arange(600)
    models = rng.uniform(1, 2, (2, 600))
    ours = compat.broaden(models, lam, 200.0, 2000.0)
    old = C_KMS * compat.FWHM / lam / FWHM_PER_SIGMA
    width = np.sqrt(200.0**2 + (C_KMS / 2000 / FWHM_PER_SIGMA) ** 2 - old**2) * lam / C_KMS / 0.9
    reach = int(np.ceil(3 * width.max()))
    for pixel in (reach, 200, 599 - reach):
        offsets = np.arange(-reach, reach + 1)
        kernel = np.exp(-(offsets**2) / (2 * width[pixel] ** 2))
        plain = (models[:, pixel + offsets] * kernel).sum(axis=1) / kernel.sum()
        assert np.allclose(ours[:, pixel], plain, rtol=1e-12)
    assert (ours[:, :reach] == 0).all() and (ours[:, -reach:] == 0).all()


def test_broadening_by_nothing_changes_nothing():
    models = np.random.default_rng(1).uniform(1, 2, (2, 300))
    assert (compat.broaden(models, 4000 + 0.9 * np.arange(300), 0.0, 1e5) == models).all()


def test_rebinning_keeps_constants_and_lines_and_areas():
    rng = np.random.default_rng(3)
    lam = 4000 + 0.9 * np.arange(500)
    edges = np.sort(rng.uniform(4010, 4440, 200))
    models = np.array([np.ones(500), lam, rng.uniform(0, 1, 500)])
    ours = compat.rebin(lam, models, edges)
    assert np.allclose(ours[0], 1) and np.allclose(ours[1], 0.5 * (edges[1:] + edges[:-1]))
    merged = np.sort(np.concatenate([lam[(lam > edges[0]) & (lam < edges[-1])], edges]))
    area = np.trapezoid(np.interp(merged, lam, models[2]), merged)
    assert (ours[2] * np.diff(edges)).sum() == pytest.approx(area, rel=1e-10)


def test_rebinning_is_constant_beyond_the_models():
    lam = 4000 + 0.9 * np.arange(50)
    ours = compat.rebin(lam, (2 + np.arange(50.0))[None], np.array([3990.0, 3995.0, 4000.0, 4001.0]))
    assert np.allclose(ours[0, :2], 2)


def test_emission_lines_are_masked_in_vacuum():
    rest = np.arange(4000.0, 7000.0, 0.5)
    near = near_emission(rest, 10.0)
    plain = (np.abs(rest[:, None] - LINES) < 10.0).any(axis=1)
    assert (near == plain).all()
    assert near[np.argmin(np.abs(rest - 4862.7))] and near[np.argmin(np.abs(rest - 6564.6))]
    assert not near_emission(rest, 0.0).any()


def test_the_universe_was_younger_then():
    assert oldest(0.0) == pytest.approx(13.8, abs=0.03)  # Planck Collaboration 2016
    assert oldest(0.26185789704322815) == pytest.approx(10.643163465517132, abs=1e-9)  # from a record


@pytest.mark.parametrize("flux", [np.full(1500, np.nan), np.full(1500, -1.0), np.ones(1500)])
def test_too_few_pixels_are_refused(flux):
    library = made_populations.library()
    wave = np.linspace(9000, 9900, 1500)  # outside the templates even where there is flux
    with pytest.raises(ValueError, match="usable pixels"):
        compat.downgrade(wave, flux, np.ones(1500), 0.1, 100.0, library, 20.0)
