"""The search of the clean mode: combinations grown one population at a time, each with its best share.

The released tree gives a new population the share 1 / (k + 1), whatever the data, and keeps the combinations that beat
the best by ln N; a change of 0.1 % in the flux then moves ages by up to 0.1 dex. Here the share is the minimum of a
parabola, known in closed form from the Gram matrix, and every combination tried is weighted by its likelihood.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sanspec.stellar.firefly.tree import ITERATIONS

BEAM = 100  # combinations grown further at each step
SMALLEST = 1e-6  # smallest share of a population


@dataclass(frozen=True, eq=False)
class Combinations:
    """Every combination tried.

    chi2 (sol). count (sol): number of populations. values (sol, column): light-weighted means of `columns`. best (ssp):
    shares of the combination with the minimum of chi2 + count x penalty.
    """

    chi2: Float[np.ndarray, " sol"]
    count: Int[np.ndarray, " sol"]
    values: Float[np.ndarray, "sol column"]
    best: Float[np.ndarray, " ssp"]

    def probability(self, scale: float, penalty: float) -> Float[np.ndarray, " sol"]:
        """exp(-(chi2 / scale + count x penalty) / 2), normalised: the BIC as a probability (Schwarz 1978)."""
        cost = self.chi2 / scale + self.count * penalty
        chance = np.exp(-0.5 * (cost - cost.min()))
        return chance / chance.sum()


@dataclass(frozen=True, eq=False)
class _Beam:
    """Combinations to be grown: shares, chi2, products with the Gram matrix, means of the columns."""

    weights: Float[np.ndarray, "beam ssp"]
    chi2: Float[np.ndarray, " beam"]
    products: Float[np.ndarray, "beam ssp"]
    values: Float[np.ndarray, "beam column"]

    def improvements(self, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of a combination and a population that improves it, by position, and the best share of the latter."""
        own = np.diag(gram)
        towards = self.chi2[:, None] - self.products
        curvature = towards + own - self.products
        share = np.divide(towards, curvature, out=np.zeros_like(towards), where=curvature > 1e-12 * own)
        parent, added = np.nonzero((share > SMALLEST) & (share < 1.0))
        return parent, added, share[parent, added]

    def best_children(self, gram, parent, added, share, chi2, values, size) -> "_Beam":
        """The best `size` children; equal combinations reached in different ways count once."""
        order = np.argsort(chi2, kind="stable")[: 4 * size]
        weights = self.weights[parent[order]] * (1.0 - share[order])[:, None]
        weights[np.arange(len(order)), added[order]] += share[order]
        marks = np.round(weights @ np.sqrt(np.arange(2.0, len(gram) + 2)), 9)
        kept = np.sort(np.unique(marks, return_index=True)[1])[:size]
        weights, places = weights[kept], order[kept]
        return _Beam(weights, chi2[places], weights @ gram, values[places])


def search(
    gram: Float[np.ndarray, "ssp ssp"],
    columns: Float[np.ndarray, "ssp column"],
    penalty: float,
    steps: int = ITERATIONS,
) -> Combinations:
    """Combinations of up to `steps` + 1 populations that describe the data.

    gram: products of the populations' residuals, so that shares w, which sum to 1, have chi2 = w gram w. penalty:
    minimum gain in chi2 of one more population; the search ends when the best of a step gains less.
    """
    grown = _Beam(np.eye(len(gram)), np.diag(gram), gram, columns)
    chi2, count, values = [grown.chi2], [np.ones(len(gram), int)], [columns]
    best, cost = grown.weights[np.argmin(grown.chi2)], grown.chi2.min() + penalty
    for _ in range(steps):
        before = grown.chi2.min()
        parent, added, share = grown.improvements(gram)
        if not len(parent):
            break
        rest, crossed = 1.0 - share, grown.products[parent, added]
        alone = np.diag(gram)[added]
        chi2.append(rest**2 * grown.chi2[parent] + 2 * rest * share * crossed + share**2 * alone)
        count.append((grown.weights > 0).sum(axis=1)[parent] + (grown.weights[parent, added] == 0))
        first = grown.values[parent]
        values.append(first + share[:, None] * (columns[added] - first))
        grown = grown.best_children(gram, parent, added, share, chi2[-1], values[-1], BEAM)
        first = np.argmin(grown.chi2)
        now = grown.chi2[first] + penalty * (grown.weights[first] > 0).sum()
        if now < cost:
            best, cost = grown.weights[first], now
        if grown.chi2.min() > before - penalty:
            break
    return Combinations(np.concatenate(chi2), np.concatenate(count), np.concatenate(values), best)
