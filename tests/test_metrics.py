"""Figures of merit against hand-made arrays, closed forms and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from sanspec.scores import metrics

SMALL = arrays(np.float64, st.integers(3, 40), elements=st.floats(-0.5, 0.5, width=32))


def test_dz_is_relative_to_one_plus_z():
    assert metrics.delta_z(np.array([0.21, 0.0]), np.array([0.1, 0.25])) == pytest.approx([0.1, -0.2])


def test_sigma_mad_of_a_hand_made_array():
    dz = np.array([0.00, 0.01, 0.02, 0.03, 0.90])  # median 0.02; deviations 0.02 0.01 0 0.01 0.88
    assert metrics.sigma_mad(dz) == pytest.approx(1.4826 * 0.01)
    assert metrics.bias(dz) == pytest.approx(0.192)
    assert metrics.outliers(dz) == pytest.approx(0.2) and metrics.outliers(dz, 0.025) == pytest.approx(0.4)


def test_sigma_mad_takes_the_outer_median():
    """Without the inner median, as the paper prints it, a constant offset would count as scatter."""
    assert metrics.sigma_mad(np.full(9, 0.03)) == 0.0
    assert metrics.sigma_mad(np.array([-0.06, 0.06, 0.06, 0.06])) == pytest.approx(0.0)


def test_sigma_mad_is_the_sigma_of_a_gaussian():
    draws = np.random.default_rng(0).normal(0.01, 0.02, 200_000)
    assert metrics.sigma_mad(draws) == pytest.approx(0.02, rel=0.01)


def test_outliers_count_both_sides_and_only_beyond_the_limit():
    dz = np.array([-0.06, -0.05, 0.05, 0.051, np.nan])
    assert metrics.outliers(dz, 0.05) == pytest.approx(0.5)


@given(SMALL, st.floats(-1, 1), st.floats(0.1, 10))
def test_sigma_mad_shifts_and_scales(dz, offset, factor):
    assert metrics.sigma_mad(factor * dz + offset) == pytest.approx(factor * metrics.sigma_mad(dz), abs=1e-9)


@given(SMALL)
def test_missing_values_change_nothing(dz):
    gappy = np.insert(dz, 1, [np.nan, np.inf])
    assert metrics.sigma_mad(gappy) == metrics.sigma_mad(dz) and metrics.bias(gappy) == metrics.bias(dz)
    assert metrics.outliers(gappy) == metrics.outliers(dz)


def test_scores_count_the_missing_and_nothing_of_nothing():
    scores = metrics.redshift_scores(np.array([0.1, np.nan, 0.2]), np.array([0.1, 0.1, 0.1]), draws=50)
    assert scores["count"] == 2 and scores["missing"] == 1 and scores["sigma_mad_error"] >= 0
    empty = metrics.redshift_scores(np.array([np.nan]), np.array([0.1]))
    assert empty["count"] == 0 and all(
        np.isnan(empty[name]) for name in ("bias", "sigma_mad", "outliers_005")
    )


def test_delta_bar_is_equation_nine():
    observed = np.array([[1.0, 2.0, 4.0, -1.0, 5.0]])
    predicted = np.array([[1.1, 1.0, 4.0, 1.0, np.nan]])
    mask = np.array([[True, True, False, True, True]])
    assert metrics.delta_bar(observed, predicted, mask) == pytest.approx([(0.1 + 0.5) / 2])


def test_mse_of_flux_and_of_logs():
    observed, predicted = np.array([[1.0, 2.0, 0.01]]), np.array([[2.0, 1.0, -1.0]])
    mask = np.ones((1, 3), bool)
    assert metrics.mse(observed, predicted, mask) == pytest.approx([(1 + 1 + 1.01**2) / 3])
    assert metrics.mse_log(observed, predicted, mask, 0.02) == pytest.approx([np.log(2) ** 2])
    low = metrics.mse_log(np.array([[1.0]]), np.array([[-5.0]]), np.ones((1, 1), bool), 0.1)
    assert low == pytest.approx([np.log(10) ** 2])
    assert np.isnan(metrics.mse_log(observed, predicted * np.nan, mask, 0.02)).all()


def test_chi2_of_the_truth_is_one_per_pixel():
    rng = np.random.default_rng(1)
    sigma = rng.uniform(0.5, 2, (20, 4500))
    noise = sigma * rng.normal(size=sigma.shape)
    ivar = np.where(rng.random(sigma.shape) < 0.1, 0.0, sigma**-2)
    noise[ivar == 0] = np.nan
    assert metrics.chi2_per_pixel(noise, np.zeros_like(noise), ivar) == pytest.approx(1, abs=0.12)


def test_a_row_without_pixels_is_nan():
    nothing = np.zeros((2, 5), bool)
    assert np.isnan(metrics.mse(np.ones((2, 5)), np.ones((2, 5)), nothing)).all()


def test_correlation_and_ks_agree_with_scipy():
    rng = np.random.default_rng(2)
    x = rng.normal(size=300).round(1)  # ties, for the ranks
    y = x**3 + rng.normal(size=300)
    x[5], y[9] = np.nan, np.inf
    use = np.isfinite(x) & np.isfinite(y)
    found = metrics.correlation(x, y)
    assert found["count"] == 298
    assert found["pearson"] == pytest.approx(stats.pearsonr(x[use], y[use]).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(x[use], y[use]).statistic)
    distance = metrics.ks_distance(x, y)
    oracle = stats.ks_2samp(x[np.isfinite(x)], y[np.isfinite(y)])
    assert distance == pytest.approx({"distance": oracle.statistic, "p": oracle.pvalue})


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_no_correlation_without_enough_that_varies(x, y):
    assert np.isnan(metrics.correlation(np.array(x), np.array(y))["pearson"])


def test_quantiles_and_empty_samples():
    assert metrics.quantiles(np.arange(11.0)) == {"count": 11, "median": 5.0, "p90": 9.0}
    assert np.isnan(metrics.quantiles(np.array([np.nan]))["median"])
    assert np.isnan(metrics.ks_distance(np.array([]), np.ones(3))["p"])


def test_bootstrap_gives_the_standard_error_of_a_mean():
    sample = np.random.default_rng(3).normal(size=400)
    assert metrics.bootstrap(np.mean, sample, draws=2000) == pytest.approx(sample.std() / 20, rel=0.05)


def test_bootstrap_is_paired_and_repeatable():
    rng = np.random.default_rng(4)
    below = rng.lognormal(size=200)
    above = 0.7 * below  # resampled together, their ratio never changes
    assert metrics.bootstrap(metrics.ratio_of_means, above, below, draws=200) < 1e-12
    once = metrics.bootstrap(np.mean, below, draws=100, seed=7)
    assert once == metrics.bootstrap(np.mean, below, draws=100, seed=7)
    gappy = np.append(below, np.nan)
    assert metrics.bootstrap(np.mean, gappy, draws=100, seed=7) == once
    assert np.isnan(metrics.bootstrap(np.mean, np.array([1.0])))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Pearson's coefficient of 0.6: 95 per cent limits hold it in most of 60 samples, and lie about the estimate."""
    rng, held = np.random.default_rng(0), 0
    for seed in range(60):
        x = rng.normal(size=80)
        y = 0.6 * x + 0.8 * rng.normal(size=80)
        low, high = metrics.interval(metrics.pearson, x, y, draws=200, seed=seed)
        held += low < 0.6 < high
        assert low < metrics.pearson(x, y) < high
    assert 51 <= held <= 60
    assert np.isnan(metrics.interval(metrics.pearson, np.ones(1), np.ones(1))).all()
