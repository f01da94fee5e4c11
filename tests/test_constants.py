"""Constants against astropy's, and physical truths about air, lines and dust."""

import astropy.constants as reference
import astropy.units as u
import numpy as np
import pytest

from sanspec.physics import constants
from sanspec.physics.air import air_to_vac, vac_to_air
from sanspec.physics.lines import EMISSION_LINES, LINE_GROUPS


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (constants.C_KMS, reference.c.to_value("km/s")),
        (constants.C_ANGSTROM, reference.c.to_value("Angstrom/s")),
        (constants.LSUN, reference.L_sun.to_value("erg/s")),
        (constants.PARSEC, reference.pc.to_value("cm")),
        (constants.AB_ZERO, (0 * u.ABmag).to_value("erg/(s cm2 Hz)")),
        (constants.FWHM_PER_SIGMA, 2.3548200450309493),
    ],
)
def test_constants_are_astropys(ours, theirs):
    assert ours == pytest.approx(theirs, rel=2e-4 if ours == constants.AB_ZERO else 1e-15)


def test_the_mad_of_a_normal_distribution():
    sample = np.random.default_rng(0).normal(size=1_000_000)
    assert constants.NORMAL_MAD * np.median(np.abs(sample)) == pytest.approx(1, abs=3e-3)


def test_a_line_has_one_wavelength_in_every_list():
    grouped = {round(wave): wave for group in LINE_GROUPS for wave, _ in group.lines}
    for line in EMISSION_LINES.values():
        for wave, _ in line.members:
            assert grouped.get(round(wave), wave) == wave


def test_air_and_vacuum_are_inverse():
    wave = np.linspace(3000, 10000, 50)
    assert air_to_vac(vac_to_air(wave)) == pytest.approx(wave, rel=1e-13)
    assert air_to_vac(6562.80) == pytest.approx(6564.61, abs=0.01)
