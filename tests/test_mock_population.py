"""What galaxies are drawn, and the lines that they emit."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanspec.classes.diagnostics import KAUFFMANN, KEWLEY
from sanspec.mock import gas, population
from sanspec.physics.cosmology import COSMOLOGY

SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(1)
    return [population.draw(rng, 0.05, 0.15) for _ in range(1500)]


def test_redshifts_stay_in_their_window(drawn):
    z = np.array([one.z for one in drawn])
    assert z.min() > 0.05 and z.max() < 0.15 and np.ptp(z) > 0.09


def test_massive_galaxies_are_quenched(drawn):
    """Half of the galaxies at 10^10.45 solar masses, and the share grows with mass."""
    mass, quenched = (np.array([getattr(one, key) for one in drawn]) for key in ("log_mass", "quenched"))
    shares = [quenched[(mass > low) & (mass < low + 0.5)].mean() for low in (9.7, 10.2, 10.7)]
    assert shares[0] < 0.25 < shares[1] < shares[2] and shares[2] > 0.6
    assert population.quenched_fraction(np.array([10.45])) == pytest.approx(0.5)


def test_the_mass_function_is_the_published_one():
    """Baldry et al. 2012, eq. 6, written out; it falls towards high masses."""
    ten = population.mass_function(np.array([10.5, 11.0, 11.5]))
    x = 10.0 ** (10.5 - 10.66)
    wanted = np.log(10) * np.exp(-x) * x * (3.96e-3 * x**-0.35 + 0.79e-3 * x**-1.47)
    assert ten[0] == pytest.approx(wanted) and np.all(np.diff(ten) < 0)


def test_types_follow_activity(drawn):
    for one in drawn:
        assert (one.kind in ("E", "S0")) == one.quenched
        assert one.kind != "Irr" or one.log_mass < 10.6
        assert one.kind == "S" or one.contrast == 0


def test_drawn_values_are_physical(drawn):
    for one in drawn:
        assert 0 <= one.bulge_fraction <= 1 and 0 < one.disk_axis <= 1 and 0 < one.bulge_axis <= 1
        assert 0.3 <= one.radius <= 14 and 25 <= one.bulge_vdisp <= 400 and 25 <= one.disk_vdisp <= 400
        assert one.disk_ebv >= 0 and one.gas_ebv >= one.disk_ebv and one.mw_ebv > 0
        for history in (one.bulge, one.disk):
            assert history.onset > 2 and history.tau > 0 and -1.6 < history.metal < 0.25


def test_sizes_are_those_of_shen(drawn):
    """Median circularised radii at 10^10.7 solar masses: late 3.86, early 2.83 kpc (Shen et al. 2003)."""
    for quenched, kpc in ((False, 3.86), (True, 2.83)):
        radii = [
            one.radius * population.kpc_per_arcsec(one.z) / (1.12 if one.kind == "E" else 1.27)
            for one in drawn
            if one.quenched == quenched and 10.55 < one.log_mass < 10.85
        ]
        assert np.median(radii) == pytest.approx(kpc, rel=0.12)


def test_dispersions_grow_with_mass(drawn):
    """Zahid et al. 2016: 118 km/s at 10^10.26 solar masses, slope 0.29 above."""
    quiet = [one for one in drawn if one.quenched and one.log_mass > 10.3]
    x, y = (np.array(v) for v in zip(*((one.log_mass - 10.26, np.log10(one.bulge_vdisp)) for one in quiet)))
    slope, zero = np.polyfit(x, y, 1)
    assert slope == pytest.approx(0.293, abs=0.03) and 10**zero == pytest.approx(118.3, rel=0.05)


def test_distances_are_astropy_s():
    z = np.array([0.05, 0.0987, 0.15])
    ours = [population.luminosity_distance(one) for one in z]
    assert ours == pytest.approx(COSMOLOGY.luminosity_distance(z).value, rel=1e-5)
    assert 1 / population.kpc_per_arcsec(0.1) == pytest.approx(
        COSMOLOGY.arcsec_per_kpc_proper(0.1).value, rel=1e-5
    )


# ------------------------------------------------------------------------------------------------------- gas


@given(SEEDS, st.floats(8.8, 11.8))
def test_star_formers_lie_below_kauffmann(seed, mass):
    ratios = gas.star_forming(np.random.default_rng(seed), mass)
    lines = gas.fluxes(1.0, ratios, 0.0)
    n2, o3 = gas.diagram(lines)
    assert n2 < 0.05 and o3 < KAUFFMANN(n2)
    assert n2 == pytest.approx(ratios.n2) and o3 == pytest.approx(ratios.o3)


@given(SEEDS, st.sampled_from(["LINER", "Seyfert"]))
def test_nuclei_lie_above_kewley(seed, kind):
    ratios = gas.nuclear(np.random.default_rng(seed), kind)
    assert ratios.n2 >= 0.47 or ratios.o3 > KEWLEY(ratios.n2)


def test_seyferts_and_liners_part_at_schawinski_s_line():
    """1.05 n2 + 0.45 (Schawinski et al. 2007): four fifths of each on its own side, or more."""
    rng = np.random.default_rng(2)
    for kind, sign in (("Seyfert", 1), ("LINER", -1)):
        drawn = [gas.nuclear(rng, kind) for _ in range(300)]
        side = np.mean([sign * (r.o3 - 1.05 * r.n2 - 0.45) > 0 for r in drawn])
        assert side > 0.8


def test_limits_have_the_published_values():
    """At log [N II]/Ha = -0.5: Kauffmann et al. 2003 gives 0.191, Kewley et al. 2001 gives 0.561."""
    assert KAUFFMANN(-0.5) == pytest.approx(0.61 / -0.55 + 1.3)
    assert KEWLEY(-0.5) == pytest.approx(0.61 / -0.97 + 1.19)
    assert KAUFFMANN(np.array([0.3])) < -1e3  # right of its pole everything is above


def test_dust_free_lines_obey_case_b():
    """Ha : Hb : Hg : Hd = 2.863 : 1 : 0.468 : 0.259; doublets 1 : 0.336 and 1 : 0.327."""
    lines = gas.fluxes(2.863, gas.star_forming(np.random.default_rng(1), 10.0), 0.0)
    at = {name: lines[index] for name, index in gas.INDEX.items()}
    assert [at[n] for n in ("H_alpha", "H_beta", "H_gamma", "H_delta")] == pytest.approx(
        [2.863, 1, 0.468, 0.259]
    )
    assert at["[O_III] 4959"] / at["[O_III] 5007"] == pytest.approx(0.336)
    assert at["[N_II] 6548"] / at["[N_II] 6583"] == pytest.approx(0.327)


def test_dust_reddens_the_balmer_lines():
    """E(B-V) = 0.3 raises Ha/Hb from 2.86 to 4.1 (k(Hb) - k(Ha) = 1.27 of Calzetti et al. 2000)."""
    ratios = gas.star_forming(np.random.default_rng(1), 10.0)
    lines = gas.fluxes(1.0, ratios, 0.3)
    decrement = lines[gas.INDEX["H_alpha"]] / lines[gas.INDEX["H_beta"]]
    assert decrement == pytest.approx(2.863 * 10 ** (0.4 * 0.3 * 1.27), rel=0.01)


def test_nitrogen_follows_mass_as_published():
    """Faisst et al. 2018, eq. 3, at z = 0.1 and log M = 9, 10, 11."""
    assert [gas.nitrogen(m) for m in (9.0, 10.0, 11.0)] == pytest.approx([-1.042, -0.506, -0.404])


def test_halpha_of_a_solar_mass_a_year():
    """1.27e41 erg/s before dust takes its share of the photons (Kennicutt 1998)."""
    light = [gas.halpha(1.0, np.random.default_rng(i)) for i in range(400)]
    assert np.median(light) == pytest.approx(1.266e41 * gas.ESCAPE, rel=0.05)


def test_nuclear_lines_follow_the_kind(drawn):
    rng, base = np.random.default_rng(1), drawn[0]
    typical = {}
    for quenched, nucleus in ((False, "none"), (True, "none"), (True, "LINER"), (False, "Seyfert")):
        one = dataclasses.replace(base, quenched=quenched, nucleus=nucleus)
        typical[quenched, nucleus] = np.median([gas.nuclear_width(rng, one) for _ in range(200)])
    values = list(typical.values())
    assert values[0] == 0 and values == sorted(values) and values[1] < 1 < values[2]


def test_nuclei_sit_where_the_survey_s_do(drawn):
    """In massive star formers (Kauffmann et al. 2003); on the red sequence in the younger (Graves et al. 2007)."""
    forming = [one for one in drawn if not one.quenched and not one.green]
    light, heavy = (
        [one.nucleus != "none" for one in forming if low < one.log_mass < low + 0.7] for low in (9.5, 10.7)
    )
    assert np.mean(light) < 0.1 and np.mean(heavy) > 0.85
    red = [one for one in drawn if one.quenched]
    liner = np.array([one.nucleus == "LINER" for one in red])
    onset = np.array(
        [one.bulge_fraction * one.bulge.onset + (1 - one.bulge_fraction) * one.disk.onset for one in red]
    )
    mass = np.array([one.log_mass for one in red])
    apart = onset - np.polyval(np.polyfit(mass, onset, 1), mass)
    assert 1.0 < apart[~liner].mean() - apart[liner].mean() < 3.5
    assert 0.25 < liner.mean() < 0.55


def test_looks_tell_nuclei_as_well_as_the_survey_s_images_and_no_better(drawn):
    """82 per cent right is what images of the survey allow (Doorenbos et al. 2024, section 5.7)."""
    chances = [chance_of_nucleus(one) for one in drawn]
    best = np.mean([max(chance, 1 - chance) for chance in chances])
    assert 0.78 < best < 0.93


def chance_of_nucleus(one: population.Galaxy) -> float:
    """What decides whether a galaxy has an active nucleus."""
    if one.quenched:
        return population._liner_chance(one.log_mass, one.bulge_fraction, one.bulge, one.disk)
    return 0.9 if one.green else population._active_chance(one.log_mass, one.bulge_fraction)
