"""Classes from line ratios: curves with their poles, real catalogue rows, missing and absurd values."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanspec.classes import diagnostics
from sanspec.classes.diagnostics import ACTIVE, FORMING, KAUFFMANN, KEWLEY, LINES, PASSIVE, UNKNOWN
from sanspec.errors import Warn

COLUMNS = {
    "h_beta": "h_beta_flux",
    "o_iii_5007": "oiii_5007_flux",
    "h_alpha": "h_alpha_flux",
    "n_ii_6583": "nii_6584_flux",
}


def fluxes(x, y):
    """Fluxes of the four lines with these ratios (log)."""
    one = np.ones(np.shape(x))
    return {
        "h_beta": one,
        "o_iii_5007": 10 ** np.asarray(y),
        "h_alpha": one,
        "n_ii_6583": 10 ** np.asarray(x),
    }


# ---------------------------------------------------------------------------------------------- curves


@pytest.mark.parametrize(
    ("curve", "x", "y"),
    [(KAUFFMANN, -0.45, 0.08), (KAUFFMANN, -1.0, 0.719), (KEWLEY, -0.45, 0.527), (KEWLEY, 0.0, -0.108)],
)
def test_curves_pass_through_the_published_points(curve, x, y):
    """Kauffmann et al. 2003, eq. 1; Kewley et al. 2001, eq. 5."""
    assert curve(np.array(x)) == pytest.approx(y, abs=2e-3)


@given(st.floats(-2, 1), st.floats(-2, 2))
def test_beyond_a_curve_is_above_it_or_right_of_its_pole(x, y):
    for curve in (KAUFFMANN, KEWLEY):
        expected = x >= curve.pole or y > curve.a / (x - curve.pole) + curve.b
        assert bool(curve.beyond(x, y)) is expected


def test_the_second_branch_divides_nothing():
    """Right of its pole the hyperbola comes down from above: without the pole a low point would be star-forming."""
    for x in (0.06, 0.2, 0.5):
        assert KAUFFMANN.beyond(x, -1.0) and 0.61 / (x - 0.05) + 1.3 > -1.0


def test_kewley_lies_beyond_kauffmann_where_galaxies_are():
    x = np.linspace(-1.2, 0.04, 50)
    assert (KEWLEY(x) > KAUFFMANN(x)).all()


def test_regions_and_whan():
    x, y = np.array([-0.6, -0.25, 0.0, 0.2, np.nan]), np.array([-0.3, 0.0, 0.9, 0.1, 0.0])
    assert list(diagnostics.region(x, y)) == [0, 1, 2, 3, UNKNOWN]
    assert [diagnostics.REGIONS[k] for k in (0, 1, 2, 3)] == ["star-forming", "composite", "Seyfert", "LINER"]
    x = np.array([-0.6, -0.1, -0.1, -0.1, np.nan, 0.1, np.nan])
    width = np.array([20.0, 8.0, 4.0, 2.0, 0.3, np.nan, 5.0])
    found = diagnostics.whan(x, width, np.array([5.0, 5.0, 3.0, 2.0, 0.2, 1.0, 1.0]))
    assert list(found) == [0, 1, 2, 3, 4, UNKNOWN, UNKNOWN]


# --------------------------------------------------------------------------------------------- classes


def test_the_rule_of_the_paper():
    x, y = np.array([-0.6, -0.25, 0.3, -0.6]), np.array([-0.3, 0.0, -1.0, -0.3])
    found, warn = diagnostics.classify(fluxes(x, y), np.array([20.0, 5.0, 1.0, 0.99]), 1.0)
    assert list(found) == [FORMING, ACTIVE, ACTIVE, PASSIVE] and not warn.any()


@pytest.mark.parametrize("line", LINES)
def test_an_absent_line_makes_passive_and_an_unknown_one_no_class(line):
    for value, expected in ((0.0, PASSIVE), (-2.0, PASSIVE), (np.nan, UNKNOWN)):
        lines = fluxes(np.array([-0.6]), np.array([-0.3])) | {line: np.array([value])}
        found, warn = diagnostics.classify(lines, np.array([20.0]), 1.0)
        assert found[0] == expected and bool(warn[0] & Warn.NO_CLASS) is (expected == UNKNOWN)


def test_a_weak_halpha_decides_whatever_else_is_unknown():
    lines = fluxes(np.array([-0.6]), np.array([-0.3])) | {"h_beta": np.array([np.nan])}
    assert diagnostics.classify(lines, np.array([0.2]), 1.0)[0][0] == PASSIVE
    assert diagnostics.classify(lines, np.array([np.nan]), 1.0)[0][0] == UNKNOWN


@given(st.lists(st.tuples(*[st.floats(-50, 50) | st.just(math.nan)] * 5), min_size=1, max_size=30))
def test_the_vector_rule_is_the_rule_row_by_row(rows):
    table = dict(zip([*LINES, "width"], np.array(rows).T))
    found, _ = diagnostics.classify({name: table[name] for name in LINES}, table["width"], 1.0)
    assert [directly(*row) for row in rows] == list(found)


def directly(hb, oiii, ha, nii, width=math.inf):
    """The paper's rule in plain words, for one galaxy."""
    if width < 1.0:
        return PASSIVE
    if any(math.isnan(value) for value in (hb, oiii, ha, nii, width)):
        return UNKNOWN
    if min(hb, oiii, ha, nii) <= 0:
        return PASSIVE
    x, y = math.log10(nii / ha), math.log10(oiii / hb)
    return ACTIVE if x >= 0.05 or y > 0.61 / (x - 0.05) + 1.3 else FORMING


# ---------------------------------------------------------------------------------- a real catalogue


@pytest.fixture(scope="module")
def catalogue(real_data):
    return pd.read_csv(real_data / "catalogues" / "casjobs_lines_2000.csv")


def test_real_catalogue_rows_are_classified_as_the_curves_say(catalogue):
    """2,018 rows of CasJobs, fluxes <= 0 and poles among them, every row."""
    lines = {name: catalogue[column].to_numpy(float) for name, column in COLUMNS.items()}
    found, _ = diagnostics.classify(lines, None, 1.0)
    rows = catalogue[list(COLUMNS.values())].itertuples(index=False)
    expected = [directly(*row) for row in rows]
    assert len(found) == 2018 and list(found) == expected
    x, _ = diagnostics.ratios(lines)
    assert (x[np.isfinite(x)] > 0.05).sum() > 10 and {PASSIVE, FORMING, ACTIVE} <= set(expected)


def test_absurd_fluxes_of_a_real_catalogue_give_no_class(catalogue):
    """A broad-line nucleus with [N II] = -2.1e7, and [O III] = -1787 with Halpha = 3.7."""
    raw = {name: catalogue[column].to_numpy(float) for name, column in COLUMNS.items()}
    lines = diagnostics.believable(raw)
    found, warn = diagnostics.classify(lines, None, 1.0)
    for row in (291, 432, 578, 1144):
        assert found[row] == UNKNOWN and warn[row] & Warn.NO_CLASS
    changed = np.array([~np.isclose(raw[name], lines[name]) for name in LINES]).any(axis=0)
    assert changed.sum() < 15 and np.nanmax(np.abs(list(lines.values()))) < 1e4
    assert (found[~changed] == diagnostics.classify(raw, None, 1.0)[0][~changed]).all()


def test_what_sdss_writes_for_nothing_is_unknown():
    lines = diagnostics.believable(dict.fromkeys(LINES, np.array([5.0, -9999.0, 2e5])))
    assert np.isfinite(lines["h_alpha"][0]) and np.isnan(lines["h_alpha"][1:]).all()
