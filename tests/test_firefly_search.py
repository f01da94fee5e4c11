"""The two searches over combinations: the released tree and the shares at their best."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar, nnls

from sanspec.stellar.firefly import combinations, tree
from sanspec.stellar.firefly.tree import FRACTIONS


def problem(truth, populations=12, pixels=800, snr=50.0, seed=3):
    """Residuals (ssp, pix) in units of the error of smooth populations; truth: shares by population."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, pixels)
    models = np.array(
        [
            1 + 0.5 * np.sin(2 * np.pi * (k + 1) * x) + 0.3 * rng.normal(size=pixels)
            for k in range(populations)
        ]
    )
    flux = sum(share * models[k] for k, share in truth.items()) + rng.normal(size=pixels) / snr
    return (models - flux) * snr


def chi2_of(scaled, weights):
    return ((weights @ scaled) ** 2).sum()


# ---------------------------------------------------------------------------------------------- released tree


def test_a_single_population_is_found_and_nothing_is_added():
    found = tree.grow(problem({4: 1.0}))
    assert np.argmax(found.best_weights()) == 4 and found.best_weights()[4] > 0.99
    assert found.born.max() == 0


def test_weights_are_shares_and_chi2_is_theirs():
    scaled = problem({2: 0.5, 7: 0.5})
    found = tree.grow(scaled)
    keep, _ = tree.clip_to_best(scaled)
    assert np.allclose(found.weights.sum(axis=1), 1) and (found.weights >= 0).all()
    for row in np.flatnonzero(found.born > 0):
        assert found.chi2[row] == pytest.approx(chi2_of(scaled[:, keep], found.weights[row]), rel=1e-9)


def test_chi2_of_mixes_is_that_of_the_mixed_weights():
    scaled = problem({2: 0.3, 7: 0.5, 9: 0.2})
    found = tree.grow(scaled)
    assert (found.born[found.top] > 0).all()
    keep, _ = tree.clip_to_best(scaled)
    for place in ((0, 0, 3), (3, 5, 6), (9, len(found.chi2) - 1, 7)):
        q = FRACTIONS[place[2]]
        weights = (found.weights[found.top[place[0]]] + q * found.weights[place[1]]) / (1 + q)
        assert found.mixed[place] == pytest.approx(chi2_of(scaled[:, keep], weights), rel=1e-9)


def test_best_weights_have_the_least_chi2():
    scaled = problem({2: 0.3, 7: 0.5, 9: 0.2})
    found = tree.grow(scaled)
    keep, _ = tree.clip_to_best(scaled)
    assert found.min_chi2 == pytest.approx(chi2_of(scaled[:, keep], found.best_weights()), rel=1e-9)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_the_number_of_iterations_is_kept_to(most):
    scaled = problem({2: 0.3, 7: 0.5, 9: 0.2})
    assert tree.grow(scaled, iterations=most).born.max() <= most


def test_only_the_best_children_are_kept():
    scaled = problem({2: 0.25, 7: 0.25, 9: 0.25, 1: 0.25}, snr=100)
    few, all_of_them = (tree.grow(scaled, 1, children) for children in (3, 1000))
    born = np.sort(all_of_them.chi2[all_of_them.born == 1])
    assert len(born) > 3
    assert np.allclose(np.sort(few.chi2[few.born == 1]), born[:3])


def test_more_solutions_are_counted_than_kept():
    found = tree.grow(problem({4: 1.0}))
    assert found.count == 12 + 10 * 12 * len(FRACTIONS)


# --------------------------------------------------------------------------------------------- shares at best


def find(scaled):
    return combinations.search(scaled @ scaled.T, np.eye(len(scaled)), np.log(scaled.shape[1]))


def test_the_share_is_the_minimum_of_chi2():
    scaled = problem({2: 0.37, 7: 0.63})
    gram = scaled @ scaled.T
    found = combinations.search(gram, np.eye(12), 5.0, 1)
    pair = np.flatnonzero((found.values[:, 2] > 0) & (found.values[:, 7] > 0))[0]
    best = minimize_scalar(
        lambda share: chi2_of(scaled, (1 - share) * np.eye(12)[2] + share * np.eye(12)[7]),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert found.values[pair, 7] == pytest.approx(best.x, abs=1e-6)
    assert found.chi2[pair] == pytest.approx(best.fun, rel=1e-9)


@pytest.mark.parametrize("truth", [{3: 1.0}, {2: 0.93, 7: 0.07}, {1: 0.2, 5: 0.5, 8: 0.3}])
def test_mixtures_are_recovered(truth):
    found = find(problem(truth, snr=200))
    expected = np.zeros(12)
    expected[list(truth)] = list(truth.values())
    assert np.allclose(found.best, expected, atol=0.01)


def test_no_combination_beats_the_free_minimum_and_the_best_comes_near_it():
    scaled = problem({1: 0.2, 5: 0.5, 8: 0.3})
    strong = 1e4
    system = np.vstack([scaled.T, np.full((1, 12), strong)])
    weights, _ = nnls(system, np.append(np.zeros(scaled.shape[1]), strong))
    least = chi2_of(scaled, weights / weights.sum())
    found = find(scaled)
    assert found.chi2.min() >= least * (1 - 1e-6)
    assert found.chi2.min() <= least + np.log(scaled.shape[1])


def test_chi2_and_means_belong_to_the_same_shares():
    scaled = problem({1: 0.2, 5: 0.5, 8: 0.3})
    found = find(scaled)  # the columns are the shares themselves
    some = np.random.default_rng(1).choice(len(found.chi2), 40)
    assert np.allclose(found.values.sum(axis=1), 1)
    assert np.allclose(found.chi2[some], [chi2_of(scaled, found.values[row]) for row in some])
    assert (found.count[some] == (found.values[some] > 0).sum(axis=1)).all()


def test_the_order_of_the_library_does_not_matter():
    scaled = problem({1: 0.2, 5: 0.5, 8: 0.3})
    order = np.random.default_rng(0).permutation(12)
    assert np.allclose(find(scaled[order]).best, find(scaled).best[order])


def test_a_tiny_change_of_the_data_changes_little():
    scaled = problem({1: 0.2, 5: 0.5, 8: 0.3})
    nudged = scaled + 1e-3 * np.random.default_rng(9).normal(size=scaled.shape[1])
    means = [
        found.probability(1.0, 2 * np.log(scaled.shape[1])) @ found.values
        for found in (find(scaled), find(nudged))
    ]
    assert np.abs(means[0] - means[1]).max() < 1e-3


def test_probability_prefers_fewer_populations_at_equal_chi2():
    found = combinations.Combinations(np.array([10.0, 10.0]), np.array([1, 2]), np.zeros((2, 1)), np.ones(1))
    chance = found.probability(1.0, 6.0)
    assert chance.sum() == pytest.approx(1) and chance[0] / chance[1] == pytest.approx(np.exp(3))


def test_equal_populations_do_no_harm():
    scaled = problem({1: 1.0})
    found = find(np.vstack([scaled, scaled[1]]))
    assert found.best[[1, 12]].sum() == pytest.approx(1, abs=1e-6)
    assert np.isfinite(found.chi2).all()
