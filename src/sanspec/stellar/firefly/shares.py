"""The search of the clean mode: combinations grown one population at a time, each share at its best.

The released tree gives a new population the share 1 / (k + 1), whatever the data say, and keeps what beats
the best by ln N; a change of 0.1 % in the flux then moves ages by up to 0.1 dex. Here the share is the
minimum of a parabola, known in closed form from the Gram matrix, and every combination tried counts by its
likelihood.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BEAM = 100  # combinations grown further at each step
SMALLEST = 1e-6  # share of a population that counts


@dataclass(frozen=True, eq=False)
class Solutions:
    """Every combination tried.

    chi2 (sol); count (sol): populations in it; values (sol, column): its light-weighted means of `columns`;
    best (ssp): shares of the combination of least chi2 + count x penalty.
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


def search(
    gram: Float[np.ndarray, "ssp ssp"],
    columns: Float[np.ndarray, "ssp column"],
    penalty: float,
    steps: int,
    beam: int = BEAM,
) -> Solutions:
    """Combinations of up to `steps` + 1 populations that describe the data.

    gram: products of the populations' residuals, so that chi2 of shares w, summing to 1, is w gram w;
    penalty: what one more population must gain in chi2. Ends when the best of a step gains less.
    """
    grown = _Beam(np.eye(len(gram)), np.diag(gram), gram, columns)
    chi2, count, values = [grown.chi2], [np.ones(len(gram), int)], [columns]
    best, cost = grown.weights[np.argmin(grown.chi2)], grown.chi2.min() + penalty
    for _ in range(steps):
        before = grown.chi2.min()
        parent, added, share = _shares(grown, gram)
        if not len(parent):
            break
        children = _children(grown, gram, parent, added, share)
        chi2.append(children)
        count.append((grown.weights > 0).sum(axis=1)[parent] + (grown.weights[parent, added] == 0))
        values.append(_blend(grown.values[parent], columns[added], share))
        grown = _best(grown, gram, parent, added, share, children, values[-1], beam)
        first = np.argmin(grown.chi2)
        now = grown.chi2[first] + penalty * (grown.weights[first] > 0).sum()
        if now < cost:
            best, cost = grown.weights[first], now
        if grown.chi2.min() > before - penalty:
            break
    return Solutions(np.concatenate(chi2), np.concatenate(count), np.concatenate(values), best)


def _shares(grown: _Beam, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Combinations and the populations that improve them, by place, and the best share of the latter."""
    own = np.diag(gram)
    towards = grown.chi2[:, None] - grown.products
    curvature = towards + own - grown.products
    share = np.divide(towards, curvature, out=np.zeros_like(towards), where=curvature > 1e-12 * own)
    parent, added = np.nonzero((share > SMALLEST) & (share < 1.0))
    return parent, added, share[parent, added]


def _children(grown, gram, parent, added, share):
    """chi2 of combinations whose share 1 - share is `parent`, and the rest `added`."""
    rest = 1.0 - share
    crossed = grown.products[parent, added]
    return rest**2 * grown.chi2[parent] + 2 * rest * share * crossed + share**2 * np.diag(gram)[added]


def _blend(first, second, share):
    """Rows mixed: (1 - share) first + share second."""
    return first + share[:, None] * (second - first)


def _best(grown, gram, parent, added, share, chi2, values, beam):
    """The best `beam` children, equal combinations reached by different ways once."""
    order = np.argsort(chi2, kind="stable")[: 4 * beam]
    weights = grown.weights[parent[order]] * (1.0 - share[order])[:, None]
    weights[np.arange(len(order)), added[order]] += share[order]
    marks = np.round(weights @ np.sqrt(np.arange(2.0, len(gram) + 2)), 9)
    kept = np.sort(np.unique(marks, return_index=True)[1])[:beam]
    weights, places = weights[kept], order[kept]
    return _Beam(weights, chi2[places], weights @ gram, values[places])
