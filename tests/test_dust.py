"""Attenuation by dust: published values, and ppxf's curve as the oracle."""

import numpy as np
import pytest
from ppxf.ppxf import attenuation

from sanspec.mock import stars
from sanspec.physics import dust

WAVE = np.linspace(2500.0, 9000.0, 200)


def test_calzetti_is_ppxfs():
    """The same attenuation for A_V = 4.05 E(B-V)."""
    ours = 10 ** (-0.4 * 0.3 * dust.calzetti(WAVE))
    assert ours == pytest.approx(attenuation(WAVE, 0.3 * dust.CALZETTI_RV), rel=1e-6)


def test_calzetti_is_normalised_to_v():
    """k(V) = R_V = 4.05 by definition, and k(B) - k(V) = 1 (Calzetti et al. 2000); k(0.12 um) about 12."""
    b, v = dust.calzetti(np.array([4400.0, 5500.0]))
    assert v == pytest.approx(4.05, abs=0.02) and b - v == pytest.approx(1.0, abs=0.06)
    assert dust.calzetti(np.array([1200.0]))[0] == pytest.approx(12.0, abs=0.3)
    below, above = dust.calzetti(np.array([6299.0, 6301.0]))
    assert below == pytest.approx(above, abs=0.03)


def test_no_dust_brightens():
    """The curve's red branch would fall below 0 beyond 22000 A."""
    assert (dust.calzetti(np.array([2e4, 3e4, 1e5])) >= 0).all()


@pytest.mark.parametrize(
    "inverse, ratio", [(2.78, 1.569), (2.27, 1.337), (1.82, 1.0), (1.43, 0.751), (1.11, 0.479)]
)
def test_cardelli_is_the_milky_ways(inverse, ratio):
    """Cardelli, Clayton & Mathis 1989, table 3: A(lambda) / A_V of UBVRI; the table is of data, the curve a fit."""
    assert dust.cardelli(np.array([1e4 / inverse]))[0] == pytest.approx(ratio, abs=0.015)


def test_the_simulated_sky_has_the_same_curve():
    """0.86 E(B-V) of Schlegel et al. 1998 (Schlafly & Finkbeiner 2011), R_V = 3.1; held constant below 3030 A."""
    curve = stars.milky_way(np.array([2900.0, 1e4 / 3.3, 5500.0]))
    assert curve[0] == curve[1]
    assert curve[1:] == pytest.approx(0.86 * 3.1 * dust.cardelli(np.array([1e4 / 3.3, 5500.0])))
