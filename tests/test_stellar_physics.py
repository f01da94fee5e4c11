"""Dust of the Milky Way, gas templates, light and mass: closed forms and published values."""

import numpy as np
import pytest
from speclite.filters import load_filter

from populations import library_path
from sanspec.physics.air import air_to_vac, vac_to_air
from sanspec.physics.constants import AB_ZERO, C_ANGSTROM, LSUN, PARSEC
from sanspec.physics.dust import R_WAVE, milky_way_transmission
from sanspec.spectra import grid
from sanspec.stellar import gas
from sanspec.stellar.library import SUN_R, Library, open_library
from sanspec.stellar.spectra import solar_luminosity

EDGES = np.exp(np.arange(np.log(3500.0), np.log(8200.0), 2e-4))
MIDDLE = 0.5 * (EDGES[1:] + EDGES[:-1])


def test_transmission_is_anchored_in_r():
    assert milky_way_transmission(np.array([R_WAVE]), 0.1)[0] == pytest.approx(10**-0.04)
    assert (milky_way_transmission(grid.WAVE, np.nan) == 1).all()
    assert (np.diff(milky_way_transmission(grid.WAVE, 0.2)) > 0).all()


@pytest.mark.parametrize("group", gas.GROUPS, ids=lambda group: group.name)
def test_a_line_has_unit_flux_and_its_partners_theirs(group):
    column = group.template(EDGES, np.full(MIDDLE.size, 3.0))
    assert column @ np.diff(EDGES) == pytest.approx(sum(ratio for _, _, ratio in group.lines), rel=1e-6)
    strongest = max(group.lines, key=lambda line: line[2])
    assert MIDDLE[np.argmax(column)] == pytest.approx(vac_to_air(np.array(strongest[1])), abs=1.0)


def test_components_go_by_name():
    """By position, as in ppxf's public example, [S II] would move with the Balmer lines."""
    by_name = {group.name: group.component for group in gas.GROUPS}
    assert all(
        (by_name[name] == "forbidden") == ("_ii" in name or "_i_" in name) or name.startswith("he_")
        for name in by_name
        if not name.startswith("h_")
    )
    assert {by_name[name] for name in ("s_ii_6716", "s_ii_6731", "n_ii_6583", "o_iii_5007")} == {"forbidden"}
    assert {by_name[name] for name in ("h_beta", "h_epsilon", "he_i_5876")} == {"balmer"}


def test_the_decrement_is_case_b():
    """Storey & Hummer 1995, as tabulated by Dopita & Sutherland 2003, table B.7: 1e4 K, 100 cm-3."""
    ratios = {name: ratio for name, _, ratio in gas.GROUPS[0].lines}
    assert ratios == {"h_alpha": 2.86, "h_beta": 1.0, "h_gamma": 0.468, "h_delta": 0.259}


def test_a_line_off_the_good_pixels_is_left_out_and_one_at_their_end_kept():
    group = next(group for group in gas.GROUPS if group.name == "o_ii_3726")
    assert not group.near(np.arange(3740.0, 5000.0)) and group.near(np.arange(3730.0, 5000.0))


def test_dust_changes_line_ratios_as_it_should():
    curve = np.exp(-(5000 / MIDDLE))
    found = gas.GROUPS[0].fluxes(2.0, curve, MIDDLE)
    expect = 2.86 * np.exp(5000 / gas.GROUPS[0].centre("h_beta") - 5000 / gas.GROUPS[0].centre("h_alpha"))
    assert found["h_alpha"] / found["h_beta"] == pytest.approx(expect, rel=1e-6)


def flat(luminosity):
    """A library of one population, flat in F_nu at `luminosity` [erg/s/Hz]."""
    lam = np.arange(3500.0, 9000.0)
    flux = luminosity * C_ANGSTROM / air_to_vac(lam)[:, None] ** 2 / LSUN
    one = np.ones(1)
    return Library("flat", "none", flux, lam, np.full(lam.size, 2.5), one, one, one)


def test_band_luminosity_of_a_flat_source():
    """A source of AB magnitude SUN_R at 10 pc has one solar luminosity in that band, by definition."""
    fnu = AB_ZERO * 10 ** (-0.4 * SUN_R)
    library = flat(fnu * 4 * np.pi * (10 * PARSEC) ** 2)
    assert library.r_luminosity[0] == pytest.approx(1.0, rel=2e-4)
    assert np.isnan(library.cut(3500, 6000).r_luminosity).all()


def test_band_luminosity_agrees_with_speclite():
    library = open_library(library_path(), "Salpeter").cut(3000, 9500)
    wave = air_to_vac(library.lam)
    cgs = library.flux[:, 70] * LSUN / (4 * np.pi * (10 * PARSEC) ** 2)
    band = load_filter("sdss2010-r")
    magnitude = band.get_ab_magnitude(cgs, wave)
    assert library.r_luminosity[70] == pytest.approx(10 ** (0.4 * (SUN_R - magnitude)), rel=1e-3)


def test_distance_and_unit():
    """L = 4 pi d^2 (1 + z) F: at z = 0.1 in a flat universe (70, 0.3) the luminosity distance is 460.3 Mpc."""
    expect = 1e-17 * 4 * np.pi * (460.3e6 * PARSEC) ** 2 * 1.1 / LSUN
    assert solar_luminosity(0.1) == pytest.approx(expect, rel=1e-3)
    assert np.isnan(solar_luminosity(0.0)) and np.isnan(solar_luminosity(-0.001))
