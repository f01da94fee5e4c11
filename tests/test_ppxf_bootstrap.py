"""Wild bootstrap: signs, reproducible draws, the fast mode against full refits, refits at bounds."""

from dataclasses import replace

import numpy as np
import pytest

from populations import library_path
from sanspec.config import Ppxf, Stellar
from sanspec.stellar import bootstrap as boot
from sanspec.stellar import resampling
from sanspec.stellar.library import open_library
from sanspec.stellar.ppxf_fit import regularised_fit
from spectra_to_fit import from_file
from test_ppxf_fit import EXAMPLES, made

SETTINGS = Stellar(ppxf=Ppxf(draws=16))
JUDGED = ("log_age_light", "metal_light", "ebv_stars")


@pytest.fixture(scope="module")
def library():
    return open_library(library_path(), "Salpeter").cut(age_max=14.2)


@pytest.fixture(scope="module")
def real(library):
    """A real spectrum with gas, fitted; from ppxf's own package, so that it is everywhere."""
    return regularised_fit(from_file(EXAMPLES / "NGC3073_SDSS_DR18.fits"), library, SETTINGS)


def test_signs_come_in_blocks_of_one_line_spread():
    edges = 4000 + np.arange(3001.0)
    found = resampling.signs(edges, np.full(3000, 5.0), "block", np.random.default_rng(1))
    assert set(found) == {-1.0, 1.0}
    changes = np.flatnonzero(np.diff(found)) + 1
    assert (np.diff(changes) % 5 == 0).all() and abs(found.mean()) < 0.15


def test_blocks_widen_with_the_line_spread_and_begin_anywhere():
    edges, length = 4000 + np.arange(2001.0), np.linspace(2, 20, 2000)
    many = np.array([resampling.signs(edges, length, "block", np.random.default_rng(k)) for k in range(300)])
    together = (many[:, 1:] == many[:, :-1]).mean(axis=0)
    assert np.allclose(together, 1 - 0.5 / length[1:], atol=0.12)


def test_independent_signs_have_no_memory():
    found = resampling.signs(np.arange(20001.0), np.full(20000, 5.0), "independent", np.random.default_rng(2))
    assert abs((found[1:] * found[:-1]).mean()) < 0.03


def test_a_draw_depends_on_seed_object_kind_and_number_alone(real):
    few, many = (boot.realisations(real, SETTINGS, count) for count in (2, 5))
    assert np.array_equal(few, many[:2]) and not np.array_equal(many[0], many[1])
    for other in (SETTINGS.model_copy(update={"seed": 1}), SETTINGS):
        spectrum = real.problem.spectrum
        if other is SETTINGS:
            spectrum = replace(spectrum, kind="predicted")
        moved = replace(real, problem=replace(real.problem, spectrum=spectrum))
        assert not np.array_equal(boot.realisations(moved, other, 1)[0], few[0])
    residual = np.abs(few - real.fit.bestfit)
    assert np.allclose(residual, np.abs(real.problem.galaxy - real.fit.bestfit))


def test_the_fast_mode_is_the_full_one_to_a_quarter_of_its_error(real):
    full = boot.bootstrap(real, SETTINGS, "full")
    fast = boot.bootstrap(real, SETTINGS, "fast")
    assert full.failed == fast.failed == 0 and fast.refits <= 4
    for name in JUDGED:
        sigma = full.values[name].std(ddof=1)
        assert abs(fast.values[name].mean() - full.values[name].mean()) < 0.25 * sigma, name
        assert fast.values[name].std(ddof=1) == pytest.approx(sigma, rel=0.15), name


def test_full_refits_by_ppxfs_own_minimiser_agree(real):
    settings = Stellar(ppxf=Ppxf(draws=3))
    ours, theirs = (boot.bootstrap(real, settings, "full", solver) for solver in ("projection", "capfit"))
    sigma = boot.bootstrap(real, SETTINGS, "fast").values["metal_light"].std(ddof=1)
    assert np.abs(ours.values["metal_light"] - theirs.values["metal_light"]).max() < 0.25 * sigma


def test_the_linear_model_is_the_design_matrix_nearby(real):
    linear = boot.Linearised(real)
    shift = np.array([0.05, 0.03, 0.04, -0.03, 0.02, 0.03, 0.02, 0.3])
    fit, kept = real.fit, (real.fit.matrix.copy(), real.fit.weights.copy(), real.fit.bestfit.copy())
    fit.linear_fit(linear.params + shift)
    exact = linear.basis.T @ (fit.matrix[linear.good] / linear.noise[:, None])
    fit.matrix, fit.weights, fit.bestfit = kept
    error = np.linalg.norm(linear.at(shift) - exact) / np.linalg.norm(linear.at(np.zeros(8)) - exact)
    assert error < 0.1


def test_a_span_loses_nothing_that_matters():
    block = np.random.default_rng(0).random((500, 6)) @ np.random.default_rng(1).random((6, 40))
    basis = boot.span(block)
    assert basis.shape == (500, 6)
    assert np.allclose(basis @ np.linalg.lstsq(basis, block)[0], block, atol=1e-6)


def test_draws_that_meet_a_bound_are_refitted_and_counted(library):
    """Little dust: about half of the draws want none, where A_V has its bound."""
    spectrum = made(library, av=0.0, snr=25.0, seed=2)
    settings = Stellar(ppxf=Ppxf(draws=6))
    solution = regularised_fit(spectrum, library, settings)
    fast, full = (boot.bootstrap(solution, settings, mode) for mode in ("fast", "full"))
    assert solution.values["ebv_stars"] > 1e-4 and (full.values["ebv_stars"] < 1e-6).any()
    assert fast.refits > 0
    assert fast.values["ebv_stars"].mean() == pytest.approx(full.values["ebv_stars"].mean(), abs=0.004)


def test_a_step_out_of_the_linear_range_is_left_to_a_full_refit(real):
    linear = boot.Linearised(real)
    wild = real.problem.galaxy * (1 + 0.8 * np.sin(np.linspace(0, 6, len(real.problem.galaxy))))
    assert linear.draw(linear.compress(wild[None])[0]) is None


def test_broad_lines_may_move_further(library):
    """A shift changes a line by its part of the line's width: 1 pixel, or 0.45 of a great dispersion."""
    wide = boot.Linearised(regularised_fit(made(library, 400.0, snr=60.0), library, SETTINGS))
    assert wide.reach[0] == wide.reach[1] == pytest.approx(0.45 * wide.params[1]) and wide.params[1] > 5
    assert (wide.reach[2:6] >= 1.0).all() and wide.reach[6:].tolist() == [0.3, 0.8]


def test_a_failed_refit_is_left_out_and_counted(real, monkeypatch):
    monkeypatch.setattr(boot, "solve", lambda *args, **more: (_ for _ in ()).throw(ValueError("no")))
    draws = boot.bootstrap(real, Stellar(ppxf=Ppxf(draws=3)), "full")
    assert draws.failed == 3 and np.isnan(draws.values["vdisp"]).all()


def test_real_spectra_of_the_survey(real_data, library):
    """Native pixels and prepared ones alike: within a quarter of the bootstrap's error, on two of the twelve.

    All twelve, with 50 draws, are in benchmarks/ppxf_bootstrap.json.
    """
    paths = sorted((real_data / "spectra" / "window_005_015").glob("spec-*.fits"))[2:4]
    for path in paths:
        solution = regularised_fit(from_file(path), library, SETTINGS)
        full, fast = (boot.bootstrap(solution, SETTINGS, mode) for mode in ("full", "fast"))
        for name, most in zip(JUDGED, (0.015, 0.01, 0.004)):
            delta = fast.values[name].mean() - full.values[name].mean()
            assert abs(delta) < min(most, 0.25 * full.values[name].std(ddof=1)), (path.name, name)
