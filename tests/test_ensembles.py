"""Scores of draws against closed forms and a plain implementation; a blind Halpha width of made lines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sanspec.scores import ensembles
from sanspec.spectra import grid

GALAXIES, DRAWS, PIXELS = 300, 10, 40


def ensemble(scale=1.0, draws=DRAWS, seed=0, galaxies=GALAXIES):
    """Truths and draws of one normal distribution a galaxy and pixel, the draws' spread off by `scale`."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(0, 3, (galaxies, PIXELS))
    truth = centre + rng.normal(0, 1, centre.shape)
    return centre[:, None] + scale * rng.normal(0, 1, (galaxies, draws, PIXELS)), truth


def whole(truth):
    return np.ones(truth.shape, bool)


@pytest.mark.parametrize("draws", [2, 5, 10, 40])
def test_honest_draws_score_as_they_should_whatever_their_number(draws):
    drawn, truth = ensemble(draws=draws)
    found = ensembles.summary(ensembles.scores(drawn, truth, whole(truth)), draws)
    assert found["mse_single"] == pytest.approx(2, rel=0.03)
    assert found["mse_mean"] == pytest.approx(1 + 1 / draws, rel=0.03)
    assert found["spread_skill"] == pytest.approx(1, abs=0.02)
    assert found["crps"] == pytest.approx(
        1 / np.sqrt(np.pi), rel=0.03
    )  # of a standard normal at its own draw
    if draws >= 10:  # with fewer the 68 % interval reaches beyond the outer draws
        assert found["coverage"] == pytest.approx(0.69, abs=0.012)  # interpolated: 0.70 with ten


def test_the_crps_of_a_normal_distribution():
    """Gneiting & Raftery 2007, below eq. 21: sd (u (2 Phi(u) - 1) + 2 phi(u) - 1 / sqrt(pi))."""
    rng, at = np.random.default_rng(1), np.array([-2.0, 0.3, 1.7])
    draws = np.broadcast_to(rng.normal(0.5, 2.0, (1, 20_000, 1)), (1, 20_000, 3))
    u = (at - 0.5) / 2.0
    exact = 2.0 * (u * (2 * stats.norm.cdf(u) - 1) + 2 * stats.norm.pdf(u) - 1 / np.sqrt(np.pi))
    assert ensembles.crps(draws, at[None])[0] == pytest.approx(exact, abs=0.03)


@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_the_crps_is_that_of_its_double_sum(seed, draws):
    rng = np.random.default_rng(seed)
    drawn, truth = rng.normal(size=(2, draws, 3)), rng.normal(size=(2, 3))
    pairs = np.abs(drawn[:, :, None] - drawn[:, None]).sum(axis=(1, 2)) / (draws * (draws - 1))
    plain = np.abs(drawn - truth[:, None]).mean(axis=1) - pairs / 2
    assert ensembles.crps(drawn, truth) == pytest.approx(plain, abs=1e-12)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_too_narrow_and_too_wide_draws_are_told_and_mended(scale):
    """Under-dispersion wins the error of a single draw and loses the CRPS; the fitted factor undoes it."""
    (drawn, truth), (honest, _) = ensemble(scale), ensemble()
    mask = whole(truth)
    scores, best = ensembles.scores(drawn, truth, mask), ensembles.scores(honest, truth, mask)
    found, right = ensembles.summary(scores, DRAWS), ensembles.summary(best, DRAWS)
    assert found["crps"] > 1.02 * right["crps"] and (found["mse_single"] < right["mse_single"]) == (scale < 1)
    assert np.sign(found["coverage"] - 0.68) == np.sign(scale - 1)
    factor = ensembles.spread_scale(scores, DRAWS)
    assert factor == pytest.approx(1 / scale, rel=0.03)
    mended = ensembles.summary(ensembles.scores(ensembles.inflated(drawn, factor), truth, mask), DRAWS)
    assert mended["crps"] < found["crps"] and mended["coverage"] == pytest.approx(
        0.68, abs=0.02 + 0.04 * scale
    )


def test_masked_pixels_do_not_count_and_a_galaxy_without_any_is_nan():
    drawn, truth = ensemble(galaxies=70)
    mask = whole(truth)
    mask[:, ::3], mask[5] = False, False
    spoilt = np.where(mask, truth, np.nan)
    one, two = (
        ensembles.scores(drawn, spoilt, mask),
        ensembles.scores(drawn, np.where(mask, truth, 9.0), mask),
    )
    for name in one:
        assert np.isnan(one[name][5]) and np.isfinite(np.delete(one[name], 5)).all(), name
        np.testing.assert_array_equal(one[name], two[name])


def test_power_at_the_scale_of_a_pixel():
    """White noise of twice the spread has four times the power; a straight line has none of it."""
    drawn, truth = ensemble(2.0)
    centre = drawn.mean(axis=1, keepdims=True)
    found = ensembles.scores(drawn - centre, truth - centre[:, 0], whole(truth))
    assert np.mean(found["power"]) / np.mean(found["power_truth"]) == pytest.approx(4 * 0.9 / 1.4, rel=0.05)


def test_a_single_spectrum_scores_its_absolute_error():
    drawn, truth = ensemble(draws=1)
    found = ensembles.scores(drawn, truth, whole(truth))
    assert found["crps"] == pytest.approx(np.abs(drawn[:, 0] - truth).mean(axis=1))
    assert (found["variance"] == 0).all()


@pytest.mark.parametrize("wave", [grid.WAVE, grid.coarse_wave()])
@pytest.mark.parametrize("z", [0.055, 0.1, 0.145])
def test_the_width_of_a_made_line_is_found_wherever_it_stands(wave, z):
    width, sigma = 30.0, 5.0
    line = width / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((wave - 6564.6 * (1 + z)) / sigma) ** 2)
    flux = (wave / 6000) ** -1.5 * (1 + line)
    found = ensembles.h_alpha_width(np.log(flux)[None, None], np.array(wave), (0.05, 0.15))
    assert found.shape == (1, 1) and found[0, 0] == pytest.approx(width, rel=0.08)
    none = ensembles.h_alpha_width(np.log((wave / 6000) ** -1.5)[None], np.array(wave), (0.05, 0.15))
    assert abs(none[0]) < 0.5
