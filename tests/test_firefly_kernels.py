"""The compiled loops against plain numpy and scipy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import sigmaclip

from sanspec.stellar.firefly import kernels
from sanspec.stellar.firefly.profile import densest, profile
from sanspec.stellar.firefly.tree import FRACTIONS, Tree

ROWS = arrays(float, st.integers(4, 60), elements=st.floats(-1e3, 1e3, width=32))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_clip_is_scipys(values):
    values = values + 1e-3 * np.sin(np.arange(len(values)))  # no ties at the limits
    kept, low, high = sigmaclip(values, 3.0, 3.0)
    ours = kernels.clip_bounds(values, 3.0)
    assert ours[0] == pytest.approx(low, rel=1e-6, abs=1e-6)
    assert ours[1] == pytest.approx(high, rel=1e-6, abs=1e-6)
    assert ours[2] == pytest.approx((kept**2).sum(), rel=1e-9, abs=1e-9)


def test_clip_of_constant_rows_keeps_everything():
    low, high, squares = kernels.clip_bounds(np.full(10, 2.0), 3.0)
    assert (low, high, squares) == (2.0, 2.0, 40.0)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.floats(0.5, 30.0))
def test_running_median_is_the_plain_one(values, half_width):
    wave = np.cumsum(np.random.default_rng(len(values)).uniform(0.2, 3.0, len(values)))
    plain = [np.median(values[np.abs(wave - w) < half_width]) for w in wave]
    assert np.allclose(kernels.running_median(wave, values, half_width), plain, rtol=0, atol=1e-12)


def test_mixes_are_clipped_one_by_one():
    rng = np.random.default_rng(2)
    first, second = rng.standard_t(2, (3, 200)), rng.standard_t(2, (4, 200))
    found = kernels.clipped_mixes(first, second, FRACTIONS, 3.0)
    for (i, j, k), value in np.ndenumerate(found):
        mixed = (first[i] + FRACTIONS[k] * second[j]) / (1 + FRACTIONS[k])
        assert value == pytest.approx((sigmaclip(mixed, 3.0, 3.0)[0] ** 2).sum(), rel=1e-10)


def a_tree(seed=4, fits=30, populations=6):
    """A tree of random weights and chi2."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(populations), fits)
    chi2, mixed = rng.uniform(900, 1100, fits), rng.uniform(880, 1200, (5, fits, len(FRACTIONS)))
    return Tree(weights, chi2, np.zeros(fits, int), np.arange(5), mixed)


def all_solutions(found, column):
    """Values of a property, and chi2, of every fit and mix."""
    values, q = found.weights @ column, FRACTIONS
    mixes = (values[found.top][:, None, None] + q * values[:, None]) / (1 + q)
    return np.concatenate([values, mixes.ravel()]), np.concatenate([found.chi2, found.mixed.ravel()])


def test_profile_is_the_best_chi2_in_each_bin():
    found, column = a_tree(), np.linspace(0.5, 12, 6)
    values, chi2 = all_solutions(found, column)
    ours = profile(found, found.weights @ column, np.ones(len(found.weights)), 1000)
    edges = np.arange(values.min(), values.max() * 1.001, np.ptp(values) / 300) + 1e-6 * np.ptp(values)
    best = [chi2[(values > a) & (values <= b)].min(initial=np.inf) for a, b in itertools.pairwise(edges)]
    place = int(np.argmin(best))
    assert ours.value == pytest.approx(0.5 * (edges[place] + edges[place + 1]))


def test_intervals_nest_and_hold_the_mode():
    found = a_tree()
    column = np.linspace(0.5, 12, 6)
    ours = profile(found, found.weights @ column, np.ones(len(found.weights)), 1000)
    assert (
        ours.low[2]
        <= ours.low[1]
        <= ours.low[0]
        <= ours.value
        <= ours.high[0]
        <= ours.high[1]
        <= ours.high[2]
    )


def test_a_property_that_does_not_vary_is_its_value():
    found = a_tree()
    ours = profile(found, found.weights @ np.full(6, 3.0), np.ones(len(found.weights)), 1000)
    assert ours.value == pytest.approx(3.0)
    assert ours.low[0] == pytest.approx(3.0) and ours.high[0] == pytest.approx(3.0)


def test_densest_intervals_of_a_gaussian():
    centres = np.linspace(-5, 5, 1001)
    density = np.exp(-0.5 * centres**2)
    ours = densest(centres, density / density.sum())
    assert ours.value == pytest.approx(0.0, abs=1e-9)
    for sigma in range(3):
        assert ours.high[sigma] == pytest.approx(sigma + 1, abs=0.03)
        assert ours.low[sigma] == pytest.approx(-sigma - 1, abs=0.03)
