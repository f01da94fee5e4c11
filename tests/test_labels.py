"""Scores of classes: the published matrix, sklearn as oracle, and what label noise does to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from sanspec import config
from sanspec.classes import labels
from sanspec.classes.diagnostics import ACTIVE, LINES, UNKNOWN
from sanspec.scores import papertables

PAPER = np.array(papertables.PAPER_MATRIX)
SETTINGS = config.Classify(draws=300, experiments=600)


def spread_out(matrix):
    """Actual and predicted classes that have this confusion matrix."""
    pairs = [(i, j) for i in range(3) for j in range(3) for _ in range(matrix[i, j])]
    return np.array(pairs).T


def test_the_published_matrix_gives_the_published_scores():
    """Doorenbos et al. 2024, table 2 and section 5.7: 0.818(7), 0.725, 0.736."""
    actual, predicted = spread_out(PAPER)
    matrix = labels.confusion(actual, predicted)
    assert (matrix == PAPER).all() and matrix.sum(axis=1).tolist() == [464, 539, 503]
    assert [int(one) for one in labels.counts(matrix)] == [370, 140, 133, 863]
    found = labels.report(matrix)
    wanted = {"accuracy": 0.8187, "precision": 0.7255, "recall": 0.7356, "f1": 0.7305, "specificity": 0.8604}
    wanted |= {"balanced_accuracy": 0.7980, "mcc": 0.594, "never": 0.666, "kappa": 0.671}
    wanted |= {"accuracy_three_classes": 0.7815}
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=6e-4), name
    assert list(found["recall_of_class"].values()) == pytest.approx([0.774, 0.831, 0.736], abs=6e-4)
    assert list(found["precision_of_class"].values()) == pytest.approx([0.841, 0.787, 0.725], abs=6e-4)
    assert list(found["binomial_error"].values()) == pytest.approx([0.0099, 0.0198, 0.0197], abs=2e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=60))
def test_scores_are_those_of_sklearn(pairs):
    actual, predicted = np.array(pairs).T
    found = labels.report(labels.confusion(actual, predicted))
    true, said = actual == ACTIVE, predicted == ACTIVE
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(true, said))
    if true.any() and said.any():
        assert found["precision"] == pytest.approx(oracle.precision_score(true, said))
        assert found["recall"] == pytest.approx(oracle.recall_score(true, said))
        assert found["f1"] == pytest.approx(oracle.f1_score(true, said))
    if 0 < true.sum() < len(true) and 0 < said.sum() < len(said):
        assert found["mcc"] == pytest.approx(oracle.matthews_corrcoef(true, said))
        assert found["balanced_accuracy"] == pytest.approx(oracle.balanced_accuracy_score(true, said))
    if len(set(actual)) > 1:
        assert found["kappa"] == pytest.approx(oracle.cohen_kappa_score(actual, predicted), abs=1e-9)


def test_unknown_classes_are_left_out_and_undefined_scores_are_nan():
    matrix = labels.confusion(np.array([0, 2, UNKNOWN, 1]), np.array([0, UNKNOWN, 2, 1]))
    assert matrix.sum() == 2
    found = labels.report(matrix)
    assert np.isnan(found["precision"]) and np.isnan(found["recall"]) and found["accuracy"] == 1.0
    assert np.isnan(labels.report(np.zeros((3, 3), int))["accuracy"])


# ------------------------------------------------------------------------------------------ error budget


def galaxies(x, y, width):
    one = np.ones(len(x))
    fluxes = {"h_beta": one, "o_iii_5007": 10**y, "h_alpha": one, "n_ii_6583": 10**x}
    return labels.Strengths(fluxes, np.asarray(width, float))


def test_the_budget_is_the_papers():
    assert LINES == ("h_beta", "o_iii_5007", "h_alpha", "n_ii_6583")
    assert config.Classify().line_errors == (0.15, 0.15, 0.20, 0.30)
    assert config.Classify().experiments == 5000 and config.Classify().ew_error == 1.0


def test_far_from_the_curve_a_label_is_sure_and_on_it_is_not():
    sample = galaxies(np.array([0.3, -0.9, -0.45]), np.array([0.8, -0.5, 0.08]), np.array([30.0, 30.0, 30.0]))
    chance = labels.probabilities(sample, SETTINGS, "additive", 0)
    assert chance.sum(axis=1) == pytest.approx(1) and chance[0, ACTIVE] > 0.99 and chance[1, ACTIVE] < 0.01
    assert 0.3 < chance[2, ACTIVE] < 0.7


def test_both_readings_of_the_width_s_error():
    """EW 30 A: +- 1 A leaves it emitting; x N(1, 1) makes it passive whenever the factor is below 1/30."""
    sample = galaxies(np.array([-0.6]), np.array([-0.3]), np.array([30.0]))
    settings = config.Classify(draws=4000)
    additive, multiplicative = (
        labels.probabilities(sample, settings, how, 1)[0, 0] for how in ("additive", "multiplicative")
    )
    assert additive < 1e-3 and multiplicative == pytest.approx(0.1668, abs=0.02)  # Phi(-29/30)


def test_a_passive_galaxy_just_below_one_angstrom_may_enter_the_diagram():
    sample = galaxies(np.array([0.3]), np.array([0.5]), np.array([0.9]))
    chance = labels.probabilities(sample, config.Classify(draws=4000), "additive", 2)[0]
    assert chance[0] == pytest.approx(0.54, abs=0.03) and chance[ACTIVE] == pytest.approx(0.46, abs=0.03)


def test_sure_labels_have_no_scatter_and_unsure_ones_pull_the_mean_down():
    actual, predicted = spread_out(PAPER)
    sure = [np.eye(3)[one] for one in (actual, predicted)]
    drawn = labels.experiments(*sure, SETTINGS, 0)
    assert drawn["accuracy"].mean() == pytest.approx(0.8187, abs=1e-4) and np.ptp(drawn["accuracy"]) == 0
    flipped = [0.9 * one + 0.1 / 3 for one in sure]
    drawn = labels.experiments(*flipped, SETTINGS, 0)
    assert len(drawn["recall"]) == 600 and 0.005 < drawn["recall"].std() < 0.03
    assert drawn["recall"].mean() < 0.7356 - 0.05


def test_unknown_galaxies_have_no_probability_and_take_no_part():
    sample = galaxies(np.array([0.3, np.nan]), np.array([0.5, 0.0]), np.array([20.0, 20.0]))
    chance = labels.probabilities(sample, SETTINGS, "additive", 0)
    assert np.isfinite(chance[0]).all() and np.isnan(chance[1]).all()
    drawn = labels.experiments(chance, chance, SETTINGS, 0)
    assert set(np.round(drawn["accuracy"], 6)) <= {0.0, 1.0}


def test_the_budget_reports_mean_and_deviation_of_both_readings_and_depends_on_its_seed_alone():
    rng = np.random.default_rng(0)
    sample = galaxies(rng.normal(-0.3, 0.3, 80), rng.normal(0, 0.4, 80), rng.lognormal(1, 1, 80))
    found = labels.error_budget(sample, sample, SETTINGS)
    assert set(found) == {"additive", "multiplicative"}
    assert all(0 < found["additive"][name]["std"] < 0.2 for name in labels.SCORES)
    assert found == labels.error_budget(sample, sample, SETTINGS)


def test_draws_without_a_score_are_counted_and_left_out_of_its_mean():
    """Precision is undefined where a draw calls nothing active."""
    found = labels.moments(np.array([0.5, np.nan, 0.7, np.nan]))
    assert found == {"mean": pytest.approx(0.6), "std": pytest.approx(0.1 * np.sqrt(2)), "undefined": 2}
    nothing = labels.moments(np.full(3, np.nan))
    assert np.isnan(nothing["mean"]) and np.isnan(nothing["std"]) and nothing["undefined"] == 3
