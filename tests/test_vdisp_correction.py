"""The correction for velocity dispersion: fit, held-out test, derivatives, a user's coefficients, bad input."""

import functools

import numpy as np
import pytest

from populations import library_path, read_library
from sanspec import store
from sanspec.__main__ import main
from sanspec.errors import SanspecError, Warn
from sanspec.features import vdisp_correction as correction

FWHM = 3.03
LICK_FIT = {  # p0-p7 of that fit, s in units of 100 km/s
    "mgb": (0.0105857, 0.988515, 1.00626, -5.60537e-06, 6, 0.0244262, 0.884861, 1.98333),
    "fe5270": (-0.00228238, 0.996272, 0.999553, 0.00912461, 1.46431, 0.0301472, 1.03534, 1.6679),
    "fe5335": (-0.00658709, 1.00844, 0.994724, -0.00115064, 2.9593, 0.0507731, 0.989731, 2.06196),
    "hbeta": (0.0229047, 0.987413, 1.00596, -0.0188033, 1.85419, 0.011725, 0.888821, 2.2108),
    "dn4000": (0.00139878, 0.998662, 1.00082, -0.0016194, 1.84581, 0.00128779, 0.975163, 1.7788),
}


@pytest.fixture(scope="module")
def fitted():
    """Population spectra, broadened indices, corrections with their quality."""
    wave, flux = correction.spectra(read_library())
    values = correction.broadened(wave, flux, correction.VDISPS, FWHM)
    return wave, flux, values, {n: correction.fit(values[n], correction.VDISPS) for n in correction.CORRECTED}


def test_ninety_populations_are_fitted(fitted):
    _, flux, values, found = fitted
    assert len(flux) == 90 and set(found) == set(values) == set(correction.CORRECTED)


@pytest.mark.parametrize("name", correction.CORRECTED)
def test_the_fit_is_good_everywhere(fitted, name):
    quality = fitted[3][name][1]
    assert quality["count"] > 1000 and quality["relative_max"] <= 0.05 and quality["relative_p95"] < 0.025
    if name != "dn4000":
        assert quality["relative_median"] < 0.1 * quality["uncorrected_median"]


def test_mixtures_that_were_not_fitted_come_out_within_five_per_cent(fitted):
    wave, flux, _, found = fitted
    tested = correction.held_out({name: one for name, (one, _) in found.items()}, wave, flux, FWHM)
    for name, quality in tested.items():
        assert quality["count"] == 60 and quality["relative_max"] <= 0.05, name
    assert tested["mgb"]["relative_median"] < 0.004 and tested["fe5335"]["uncorrected_max"] > 0.3


@pytest.mark.parametrize("name", correction.CORRECTED)
def test_another_fit_of_the_same_form_says_the_same(fitted, name):
    """Coefficients are degenerate, the surface is not: within 1 % inside the range of the populations."""
    p = np.array(LICK_FIT[name])
    p[3], p[5] = p[3] / 100 ** p[4], p[5] / 100 ** p[7]
    other, ours = correction.Correction(tuple(p)), fitted[3][name][0]
    vdisp = np.array([50.0, 150.0, 250.0, 350.0])[:, None]
    x = np.quantile(fitted[2][name][4:], [0.2, 0.5, 0.8])
    assert ours(x, vdisp) == pytest.approx(other(x, vdisp), rel=0.01)


@pytest.mark.parametrize("name", ["mgb", "fe5270", "fe5335", "hbeta"])
def test_dispersion_weakens_lines_and_the_correction_undoes_it(fitted, name):
    _, _, values, found = fitted
    old = values[name][:, np.argmax(values["mgb"][0])]
    assert (np.diff(old) <= 1e-3 * old[0]).all()
    back = found[name][0](old[1:], correction.VDISPS[1:])
    assert back == pytest.approx(old[0], rel=0.045)


def test_without_dispersion_nothing_is_changed(fitted):
    for name, (one, _) in fitted[3].items():
        x = np.quantile(fitted[2][name][0], [0.1, 0.5, 0.9])
        assert one(x, np.zeros(3)) == pytest.approx(x, rel=0.012), name


def test_slopes_are_the_derivatives(fitted):
    one = fitted[3]["fe5335"][0]
    x, s, step = np.array([1.0, 2.5]), np.array([120.0, 280.0]), 1e-4
    by_x, by_s = correction.slopes(one, x, s)
    assert by_x == pytest.approx((one(x + step, s) - one(x - step, s)) / (2 * step), rel=1e-5)
    assert by_s == pytest.approx((one(x, s + step) - one(x, s - step)) / (2 * step), rel=1e-4)


def test_errors_are_carried_through(fitted):
    one, rng = fitted[3]["mgb"][0], np.random.default_rng(0)
    x, s = rng.normal(3.0, 0.1, 4000), rng.normal(220, 15, 4000)
    found = correction.apply(one, np.array([3.0]), np.array([220.0]), np.array([0.1]), np.array([15.0]))
    assert found.error[0] == pytest.approx(one(x, s).std(), rel=0.05)


# -------------------------------------------------------------------------------------------- bad input


def test_an_index_that_cannot_be_corrected_is_flagged(fitted):
    one = fitted[3]["mgb"][0]
    x = np.array([3.0, -0.5, 0.0, 7.5, 3.0, 3.0, np.nan])
    vdisp = np.array([200.0, 200.0, 200.0, 200.0, 900.0, np.nan, 200.0])
    found = correction.apply(one, x, vdisp)
    flagged = (found.warn & int(Warn.UNCORRECTED)) > 0
    assert list(flagged) == [False, True, True, True, True, False, False]
    assert found.value[0] == one(3.0, 200.0) and found.value[1] == -0.5 and found.value[2] == 0.0
    assert found.value[4] == 3.0, "at the bound of a fit no correction is better than an extrapolated one"
    assert np.isnan(found.value[5]) and found.warn[5] & Warn.NO_VDISP and np.isnan(found.value[6])


def test_published_coefficients_of_a_user_take_their_place(tmp_path):
    path = tmp_path / "zheng.yaml"
    path.write_text("mgb: [0, 1, 1, 0, 1, 1.0e-6, 1, 2]\n")
    found = correction.read_published(path)
    assert list(found) == ["mgb"] and "zheng.yaml" in found["mgb"].source
    assert found["mgb"](np.array([3.0]), np.array([300.0])) == pytest.approx(3.0 * 1.09)


def test_the_stage_takes_them_and_the_next_one_reads_them(tmp_path, monkeypatch):
    """Those of the file for its index, the fitted ones for the others; through JSON, which has no infinity."""
    monkeypatch.setattr(correction, "STARTS", 1)
    monkeypatch.setattr(correction, "held_out", functools.partial(correction.held_out, count=2))
    published, settings = tmp_path / "zheng.yaml", tmp_path / "config.yaml"
    published.write_text("mgb: [0, 1, 1, 0, 1, 1.0e-6, 1, 2]\n")
    settings.write_text(f"lick: {{coefficients: {published}}}\n")
    words = ["--config", str(settings), "--templates", str(library_path()), "--out", str(tmp_path / "b.json")]
    assert main(["broadening", *words]) == 0
    content = store.read_json(tmp_path / "b.json")
    found = correction.from_json(content)
    assert set(found) == set(correction.CORRECTED) and "zheng.yaml" in found["mgb"].source
    assert (
        found["fe5270"].source == "fitted to E-MILES" and content["numbers"]["vdisp_correction_worst"] <= 0.05
    )
    freed = correction.apply(found["mgb"], np.array([3.0, 30.0, 3.0]), np.array([300.0, 300.0, 600.0]))
    assert freed.value == pytest.approx([3.0 * 1.09, 30 * 1.09, 3.0])
    assert list(freed.warn) == [0, 0, int(Warn.UNCORRECTED)]


BAD = {
    "missing": (None, "cannot read"),
    "no yaml": ("mgb: [1, 2", "not YAML"),
    "a list": ("[1, 2]", "holds list"),
    "empty": ("", "holds NoneType"),
    "seven": ("mgb: [1, 2, 3, 4, 5, 6, 7]", "mgb"),
    "text": ("mgb: [1, 2, 3, 4, 5, 6, 7, eight]", "mgb"),
    "infinite": ("mgb: [1, 2, 3, 4, 5, 6, 7, .inf]", "mgb"),
    "unknown index": ("mgc: [1, 2, 3, 4, 5, 6, 7, 8]", "mgc"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_of_coefficients_is_one_line(tmp_path, kind):
    text, words = BAD[kind]
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SanspecError, match=words) as fault:
        correction.read_published(path)
    assert "allowed" in str(fault.value) and "\n" not in str(fault.value)


def test_json_gives_the_corrections_back(fitted):
    whole = {name: one for name, (one, _) in fitted[3].items()}
    assert correction.from_json(correction.as_json(whole) | {"numbers": {}}) == {
        name: correction.Correction(tuple(one.p), tuple(one.x_range), one.vdisp_max, one.source)
        for name, one in whole.items()
    }
