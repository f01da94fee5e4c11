"""Emission lines against the truth of simulated galaxies, and spectra without usable lines."""

import numpy as np

import emitters
from conftest import benchmark
from populations import library_path, read_library
from sanspec.classes import diagnostics
from sanspec.config import Config
from sanspec.errors import Warn
from sanspec.features import linetable
from sanspec.measuring import table as measuring
from sanspec.physics.lines import EMISSION_LINES
from sanspec.spectra import preparing
from sanspec.spectra.spectra import Spectra
from sanspec.survey import specfile

SETTINGS = Config()


def test_fluxes_and_widths_of_simulated_galaxies_are_the_true_ones():
    """Lines above 5 sigma lie within 3 of the truth for 98 %, by errors from the noise covariance; widths to 3 %."""
    found = benchmark("lines").truth(library_path(), 100)
    assert found["within_3_sigma"] >= 0.98
    assert abs(found["ew_h_alpha_median_ratio"] - 1) < 0.03
    for name, line in found["lines"].items():
        if line["count"] > 30:
            assert abs(line["median_ratio"] - 1) < 0.04 and 0.7 < line["sigma_of_error"] < 1.4, name
    assert sum(line["count"] for line in found["lines"].values()) > 250


# ------------------------------------------------------------------------------------------- bad input


def test_broad_lines_of_real_quasars_give_no_class_and_no_absurd_number(real_data):
    """Files that `measure` refuses, forced through: a narrow line is measured where there is one, else NaN and bits."""
    names = {"boss_eboss/spec-7102-56666-0914": False, "sdss_qso_star/spec-0907-52373-0419": False}
    names |= {"sdss_qso_star/spec-2770-54510-0433": False, "sdss_qso_star/spec-1163-52669-0292": True}
    paths = [real_data / "spectra" / f"{name}.fits" for name in names]
    native = specfile.read_many(paths)
    z = np.array([one.z for one in native.about])
    smoothed = preparing.smooth_spectra(native, SETTINGS.prepare)
    spectra = measuring.spectra_of(smoothed, np.arange(len(z)).astype(np.uint64), z)
    stars = measuring.starlight_of(spectra, read_library(), SETTINGS)
    lines = linetable.line_table(spectra, stars, SETTINGS.lines)
    classes, warn = measuring.classes_of(lines, SETTINGS)
    for row, narrow in enumerate(names.values()):
        assert classes["class"][row] == ("active" if narrow else "")
        assert bool(warn[row] & Warn.NO_CLASS) != narrow and bool(warn[row] & Warn.NO_LINE) != narrow
    assert (
        np.nanmax(np.abs(lines[[f"flux_{name}" for name in EMISSION_LINES]].to_numpy()))
        < diagnostics.ABSURD_FLUX
    )


def test_a_negative_continuum_gives_no_width_and_no_class():
    """As where the sky was subtracted too much; a width over it would have the wrong sign."""
    flux, stars = (one - 3.0 for one in emitters.spectra(["active"], np.array([0.07])))
    noise = np.full((1, 4500), 1e4), np.zeros((1, 1, 4500)), np.full((1, 4500), 10 / 3)
    ids, none = np.array([1], np.uint64), np.zeros(1, np.uint32)
    spectra = Spectra("observed", ids, np.array([0.07]), flux, *noise, np.ones(1), none)
    lines = linetable.line_table(spectra, stars, SETTINGS.lines)
    assert np.isnan(lines["ew_h_alpha"][0]) and lines["flux_h_alpha"][0] > 0
    assert int(lines["warn_h_alpha"][0]) & Warn.NO_LINE
    classes, warn = measuring.classes_of(lines, SETTINGS)
    assert classes["class"][0] == "" and warn[0] & Warn.NO_CLASS
