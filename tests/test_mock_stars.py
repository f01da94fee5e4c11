"""Starlight of the simulated sky: histories, templates, dust, filters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sanspec.mock import stars
from sanspec.mock.population import Population
from sanspec.physics.air import air_to_vac, vac_to_air
from sanspec.spectra import grid
from sanspec.stellar.library import open_library
from sky import emiles, tools  # noqa: F401

HISTORIES = st.builds(
    Population,
    onset=st.floats(2.5, 13),
    tau=st.floats(0.2, 30),
    quench=st.floats(0, 4),
    burst=st.floats(0, 0.1),
    burst_age=st.floats(0.05, 0.6),
    metal=st.floats(-1.5, 0.22),
)
AGES = np.geomspace(0.063, 15.8, 25)
METALS = np.array([-1.71, -1.31, -0.71, -0.40, 0.0, 0.22])


@given(HISTORIES)
def test_mass_is_formed_once_and_never_unmade(history):
    lookback = np.linspace(0, 20, 400)
    formed = stars.formed(history, lookback)
    assert formed[0] == pytest.approx(1) and formed[-1] == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(formed) <= 1e-12)


def test_a_long_tau_makes_stars_as_time_squared():
    """With tau much longer than the age, star formation grows as t and the mass as t^2."""
    history = Population(10.0, 1e4, 0.0, 0.0, 1.0, 0.0)
    assert stars.formed(history, np.array([5.0])) == pytest.approx(0.25, rel=2e-3)


def test_a_burst_adds_its_share_in_its_time():
    quiet = Population(10.0, 0.5, 3.0, 0.0, 0.2, 0.0)
    burst = Population(10.0, 0.5, 3.0, 0.1, 0.2, 0.0)
    recent = [1 - stars.formed(history, np.array([0.2]))[0] for history in (quiet, burst)]
    assert recent[0] < 1e-6 and recent[1] == pytest.approx(0.1, rel=1e-3)
    assert stars.star_formation(burst) == pytest.approx(0.1 / 0.2e9, rel=1e-3)


@given(HISTORIES)
def test_weights_are_a_distribution(history):
    library = stars.Stars(np.zeros((150, 1)), np.ones(150), AGES, METALS, np.zeros(1))
    weights = stars.weights(library, history)
    assert weights.shape == (25, 6) and weights.sum() == pytest.approx(1) and weights.min() >= -1e-12


def test_mean_metallicity_is_the_one_asked_for():
    """Away from the grid's ends: the mean of the Gaussian, and POOR of the mass 1.2 dex lower."""
    weights = stars._metal_weights(METALS, -0.4)
    assert weights @ METALS == pytest.approx(-0.4 - stars.POOR * 1.2, abs=0.01)


def test_preparing_conserves_flux_and_moves_to_vacuum(emiles, tools):  # noqa: F811
    library = open_library(emiles)
    width = stars.WAVE * np.log(10) * grid.LOGLAM_STEP
    air = (library.lam > 4500) & (library.lam < 7000)
    vacuum = (air_to_vac(4500.0) < stars.WAVE) & (air_to_vac(7000.0) > stars.WAVE)
    direct = library.cube[air, 20, 4].sum() * 0.9
    ours = (tools.stars.flux.reshape(25, 6, -1)[20, 4] * width)[vacuum].sum()
    assert ours == pytest.approx(direct, rel=1e-3)
    line = tools.stars.flux.reshape(25, 6, -1)[24, 4]
    near = np.abs(stars.WAVE - 5895.6) < 8  # Na D2 and D1, vacuum 5891.583 and 5897.558
    assert stars.WAVE[near][line[near].argmin()] == pytest.approx(5894.5, abs=4)


def test_only_the_youngest_models_are_brightened(emiles, tools):  # noqa: F811
    library = open_library(emiles)
    at = np.searchsorted(stars.WAVE, 5500.0)
    air = np.argmin(np.abs(library.lam - vac_to_air(5500.0)))
    ratio = tools.stars.flux.reshape(25, 6, -1)[..., at - 5 : at + 5].mean(axis=-1)
    ratio = ratio / library.cube[air - 6 : air + 6].mean(axis=0)
    assert np.allclose(ratio[0], stars.BRIGHTER, rtol=0.02) and np.allclose(ratio[1:], 1, rtol=0.02)


# --------------------------------------------------------------------------------------------------- filters


def test_a_flat_spectrum_of_3631_jansky_is_magnitude_zero():
    flat = 3.631e-20 * 2.99792458e18 / stars.SKY_WAVE**2
    assert stars.filter_weights() @ flat == pytest.approx(1e9, rel=1e-6)


def test_magnitudes_agree_with_speclite(tools):  # noqa: F811
    """An old galaxy at z = 0.1 through the filters: both programs, to 3 mmag (u: but for its red leak)."""
    filters = pytest.importorskip("speclite.filters")
    z, rest = 0.1, tools.stars.flux.reshape(25, 6, -1)[20, 4].astype(float) * 1e-15
    flux = stars.shifted_weights(tools.filters, z, 0.0) @ rest
    table = filters.load_filters("sdss2010-*").get_ab_magnitudes(
        rest, stars.WAVE * (1 + z), mask_invalid=True
    )
    theirs = np.array([table[f"sdss2010-{band}"][0] for band in "ugriz"])
    ours = 22.5 - 2.5 * np.log10(flux)
    assert np.abs(ours - theirs)[1:].max() < 3e-3 and abs(ours - theirs)[0] < 0.06


@given(st.floats(0.05, 0.15))
@settings(max_examples=20)
def test_weights_move_with_redshift_as_the_spectrum_would(z):
    """Moving the filters to the rest frame is moving a smooth spectrum to the observed one."""
    weights = stars.filter_weights()
    rest = 1 + 0.3 * np.sin(stars.WAVE / 400)
    moved = 1 + 0.3 * np.sin(stars.SKY_WAVE / (1 + z) / 400)
    inside = (stars.SKY_WAVE / (1 + z) > stars.WAVE[0]) & (stars.SKY_WAVE / (1 + z) < stars.WAVE[-1])
    ours = stars.shifted_weights(weights, z, 0.0) @ rest
    assert ours == pytest.approx(weights @ (moved * inside), rel=2e-4)


# ------------------------------------------------------------------------------------------------------ dust


def test_the_milky_way_dims_as_the_survey_corrects():
    """Effective A per E(B-V) of Schlafly & Finkbeiner 2011, table 6, who use another curve: to 7 per cent."""
    weights, flat = stars.filter_weights(), stars.SKY_WAVE**-2.0
    dimmed = weights @ (flat * 10 ** (-0.4 * 0.1 * stars.milky_way(stars.SKY_WAVE)))
    found = -2.5 * np.log10(dimmed / (weights @ flat)) / 0.1
    assert found == pytest.approx([4.239, 3.303, 2.285, 1.698, 1.263], rel=0.07)
