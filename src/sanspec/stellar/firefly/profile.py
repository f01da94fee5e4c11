"""The best value of a property and its intervals, from the minimum chi2 at every value (Wilkinson et al. 2017)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import chdtrc

from sanspec.stellar.firefly import kernels
from sanspec.stellar.firefly.tree import FRACTIONS, Tree

BINS = 300
CONTENTS = (0.6827, 0.9545, 0.9973)  # of the 1, 2 and 3 sigma intervals


@dataclass(frozen=True)
class Interval:
    """Mode of a property, and lower and upper ends of its highest-density intervals at 1, 2 and 3 sigma."""

    value: float
    low: tuple[float, ...]
    high: tuple[float, ...]


def profile(
    found: Tree, numerator: Float[np.ndarray, " fit"], denominator: Float[np.ndarray, " fit"], dof: int
) -> Interval:
    """Mode and intervals of numerator / denominator over all fits and mixes of a tree.

    Both are linear in the weights. The probability of a solution is the survival function of chi2, scaled to a minimum
    chi2 of `dof`; that of a bin of the property is the maximum in it. A property that hardly varies is given by its
    last solution and its range.
    """
    fits = np.array([numerator, denominator])
    top = np.ascontiguousarray(fits[:, found.top])
    low, high = kernels.mix_range(top, fits, FRACTIONS)
    spread = np.round(high, 2) - np.round(low, 2)
    if not np.isfinite(high - low) or spread == 0 or spread <= abs(0.03 * high):
        last = fits[:, -1] + top[:, -1]
        return Interval(float(last[0] / last[1]), (low,) * 3, (high,) * 3)
    width = high - low
    edges = np.arange(low, high * 1.001, width / BINS) + 1e-6 * width
    best = kernels.mix_profile(top, fits, FRACTIONS, found.chi2, found.mixed, edges)
    chance = np.where(np.isfinite(best), chdtrc(dof, best / found.min_chi2 * dof), 0.0)
    return densest(0.5 * (edges[1:] + edges[:-1]), chance / chance.sum())


def densest(centres: Float[np.ndarray, " bin"], density: Float[np.ndarray, " bin"]) -> Interval:
    """Mode and highest-density intervals of a binned density: the bins taken before the content is reached."""
    order = np.argsort(density)[::-1]
    before = np.cumsum(density[order]) - density[order]
    ends = []
    for content in CONTENTS:
        after = int(np.clip(np.searchsorted(before, content), 1, len(before) - 1))
        after -= content - before[after - 1] < before[after] - content
        inside = centres[order[: max(after, 1)]]
        ends.append((float(inside.min()), float(inside.max())))
    low, high = zip(*ends)
    return Interval(float(centres[order[0]]), low, high)
