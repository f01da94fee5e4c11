"""The released search: a greedy tree of weights, and mixes of its best (Wilkinson et al. 2017)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sanspec.stellar.firefly import kernels

Residuals = Float[np.ndarray, "ssp pix"]
Weights = Float[np.ndarray, "fit ssp"]
Gram = Float[np.ndarray, "ssp ssp"]
Mixes = Float[np.ndarray, "best fit fraction"]

FRACTIONS = np.array([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])  # q of every mix (w + q v) / (1 + q)
ITERATIONS = 10  # populations added to a combination, one per iteration
CHILDREN = 10_000  # combinations kept at most in one iteration
BEST = 10  # best fits that are mixed with all others


@dataclass(frozen=True)
class Tree:
    """Every combination that was kept, and the mixes of the best of them with all.

    weights (fit, ssp): light fractions, summing to 1. chi2 (fit). born (fit): iteration, 0 for a single population.
    top (best): rows mixed with all. mixed (best, fit, fraction): chi2 of (weights[top] + q weights[fit]) / (1 + q) for
    each q in `FRACTIONS`.
    """

    weights: Weights
    chi2: Float[np.ndarray, " fit"]
    born: Int[np.ndarray, " fit"]
    top: Int[np.ndarray, " best"]
    mixed: Mixes

    @property
    def count(self) -> int:
        """Number of solutions."""
        return self.chi2.size + self.mixed.size

    @property
    def min_chi2(self) -> float:
        """The minimum chi2."""
        return float(min(self.chi2.min(), self.mixed.min()))

    def best_weights(self) -> Float[np.ndarray, " ssp"]:
        """Light fractions of the solution of minimum chi2; of equal ones the first, fits before mixes."""
        if self.chi2.min() <= self.mixed.min():
            return self.weights[np.argmin(self.chi2)]
        i, j, k = np.unravel_index(np.argmin(self.mixed), self.mixed.shape)
        q = FRACTIONS[k]
        return (self.weights[self.top[i]] + q * self.weights[j]) / (1.0 + q)


def grow(scaled: Residuals, iterations: int = ITERATIONS, children: int = CHILDREN) -> Tree:
    """The tree as the released FIREFLY grows it (Wilkinson et al. 2017).

    scaled: residuals of the single populations in units of their error; those of a combination are their mean by
    weight. Each population is a seed, with chi2 after its own 3 sigma clip; all combinations then use the pixels that
    the best seed keeps.
    """
    keep, chi2 = clip_to_best(scaled)
    clipped = scaled[:, keep]
    gram = clipped @ clipped.T
    weights, chi2, born, products = spawn(gram, chi2, np.log(scaled.shape[1]), iterations, children)
    top = np.argsort(chi2, kind="stable")[:BEST]
    mixed = mix(weights, products, weights[top], gram)
    for place in np.flatnonzero(born[top] == 0):
        mixed[place:] = _mix_seed(scaled, weights, top[place:])
    return Tree(weights, chi2, born, top, mixed)


def _mix_seed(scaled: Residuals, weights: Weights, top: Int[np.ndarray, " best"]) -> Mixes:
    """chi2 of the mixes of top[0], a seed, and of those after it.

    A mix of two seeds gets a clip of its own; the released code then keeps the clip of the last such mix for all mixes
    that follow.
    """
    seed = scaled[top[0]]
    last = 0.5 * (seed + scaled[-1])
    low, high, _ = kernels.clip_bounds(last, kernels.CLIP_SIGMA)
    clipped = scaled[:, (last > low) & (last < high)]
    gram = clipped @ clipped.T
    mixed = mix(weights, weights @ gram, weights[top], gram)
    afresh = kernels.clipped_mixes(seed[None], scaled, FRACTIONS, kernels.CLIP_SIGMA)
    mixed[0, : len(scaled)] = afresh[0]
    return mixed


def clip_to_best(scaled: Residuals) -> tuple[Bool[np.ndarray, " pix"], Float[np.ndarray, " ssp"]]:
    """Pixels that a 3 sigma clip of the best single population keeps, and chi2 of each after its own clip."""
    low, high, chi2 = kernels.clipped_squares(scaled, kernels.CLIP_SIGMA)
    best = np.argmin(chi2)
    return (scaled[best] > low[best]) & (scaled[best] < high[best]), chi2


def spawn(
    gram: Gram,
    chi2: Float[np.ndarray, " ssp"],
    threshold: float,
    iterations: int = ITERATIONS,
    children: int = CHILDREN,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Combinations kept: at iteration k a combination of weights w has the children (k w + e_j) / (k + 1).

    gram (ssp, ssp): products of the populations' residuals over the used pixels. chi2 (ssp): of the seeds. A child is
    kept when its chi2 lies more than `threshold` below the minimum at the start of the iteration; the search ends when
    none is kept. Returns weights, chi2, iteration of birth, and weights @ gram.
    """
    own = np.diag(gram)
    weights, products, squares = np.eye(len(gram)), gram, own
    born = np.zeros(len(gram), int)
    for k in range(1, iterations + 1):
        tried = (k * k * squares[:, None] + 2 * k * products + own) / (k + 1) ** 2
        parent, added = np.nonzero(tried < chi2.min() - threshold)
        if not len(parent):
            break
        if len(parent) > children:
            best = np.sort(np.argsort(tried[parent, added], kind="stable")[:children])
            parent, added = parent[best], added[best]
        new = k * weights[parent]
        new[np.arange(len(parent)), added] += 1.0
        new /= k + 1
        kept = tried[parent, added]
        weights, products = np.vstack([weights, new]), np.vstack([products, new @ gram])
        chi2, squares = np.concatenate([chi2, kept]), np.concatenate([squares, kept])
        born = np.concatenate([born, np.full(len(parent), k)])
    return weights, chi2, born, products


def mix(weights: Weights, products: Weights, top: Float[np.ndarray, "best ssp"], gram: Gram) -> Mixes:
    """chi2 (top, fit, fraction) of the mixes of weights `top` with all; products: weights @ gram."""
    squares = np.einsum("fs,fs->f", products, weights)
    own = np.einsum("fs,fs->f", top @ gram, top)
    cross = top @ products.T
    q = FRACTIONS
    return (own[:, None, None] + 2 * q * cross[:, :, None] + q * q * squares[:, None]) / (1 + q) ** 2
