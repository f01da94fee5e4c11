"""The released search: a greedy tree of weights, and mixes of its best (Wilkinson et al. 2017)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sanspec.stellar.firefly import kernels

FRACTIONS = np.array([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])  # q of every mix (w + q v) / (1 + q)


@dataclass(frozen=True)
class Limits:
    """How far the search goes: iterations, best children kept in each, best fits mixed with all others."""

    iterations: int = 10
    children: int = 10_000
    best: int = 10


@dataclass(frozen=True)
class Tree:
    """Every combination that was kept, and the mixes of the best of them with all.

    weights (fit, ssp): light fractions, summing to 1; chi2 (fit); born (fit): iteration, 0 for a single
    population; top (best): rows mixed with all; mixed (best, fit, fraction): chi2 of (weights[top] + q
    weights[fit]) / (1 + q), q in `FRACTIONS`.
    """

    weights: Float[np.ndarray, "fit ssp"]
    chi2: Float[np.ndarray, " fit"]
    born: Int[np.ndarray, " fit"]
    top: Int[np.ndarray, " best"]
    mixed: Float[np.ndarray, "best fit fraction"]

    @property
    def count(self) -> int:
        """Solutions looked at."""
        return self.chi2.size + self.mixed.size

    @property
    def least(self) -> float:
        """The least chi2."""
        return float(min(self.chi2.min(), self.mixed.min()))

    def best_weights(self) -> Float[np.ndarray, " ssp"]:
        """Light fractions of the solution of least chi2; of equal ones the first, fits before mixes."""
        if self.chi2.min() <= self.mixed.min():
            return self.weights[np.argmin(self.chi2)]
        i, j, k = np.unravel_index(np.argmin(self.mixed), self.mixed.shape)
        q = FRACTIONS[k]
        return (self.weights[self.top[i]] + q * self.weights[j]) / (1.0 + q)


def residuals(
    flux: Float[np.ndarray, " pix"], error: Float[np.ndarray, " pix"], models: Float[np.ndarray, "ssp pix"]
) -> Float[np.ndarray, "ssp pix"]:
    """(model - data) / error of every single population: those of a combination are their mean by weight."""
    return (models - flux) / error


def grow(scaled: Float[np.ndarray, "ssp pix"], limits: Limits = Limits()) -> Tree:
    """The tree as the released FIREFLY grows it (Wilkinson et al. 2017).

    scaled: residuals of the single populations in units of their error. Each is a seed whose chi2 is taken
    after its own 3 sigma clip; the pixels that the best seed keeps are then everyone's.
    """
    keep, chi2 = clip_to_best(scaled)
    clipped = scaled[:, keep]
    gram = clipped @ clipped.T
    weights, chi2, born, products = spawn(gram, chi2, np.log(scaled.shape[1]), limits)
    top = np.argsort(chi2, kind="stable")[: limits.best]
    mixed = mix(weights, products, weights[top], gram)
    for place in np.flatnonzero(born[top] == 0):
        mixed[place:] = _mix_seed(scaled, weights, top[place:])
    return Tree(weights, chi2, born, top, mixed)


def _mix_seed(
    scaled: Float[np.ndarray, "ssp pix"], weights: Float[np.ndarray, "fit ssp"], top: Int[np.ndarray, " best"]
) -> Float[np.ndarray, "best fit fraction"]:
    """chi2 of the mixes of top[0], a seed, and of those after it.

    Two seeds are clipped afresh; the released code then leaves the clip of the last such mix to all mixes
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


def clip_to_best(
    scaled: Float[np.ndarray, "ssp pix"],
) -> tuple[Bool[np.ndarray, " pix"], Float[np.ndarray, " ssp"]]:
    """Pixels that a 3 sigma clip of the best single population keeps, and chi2 of each after its own clip."""
    low, high, chi2 = kernels.clipped_squares(scaled, kernels.CLIP_SIGMA)
    best = np.argmin(chi2)
    return (scaled[best] > low[best]) & (scaled[best] < high[best]), chi2


def spawn(
    gram: Float[np.ndarray, "ssp ssp"], chi2: Float[np.ndarray, " ssp"], threshold: float, limits: Limits
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Combinations kept: at iteration k each, of weights w, has the children (k w + e_j) / (k + 1).

    gram (ssp, ssp): products of the populations' residuals over the pixels in use; chi2 (ssp): of the seeds.
    A child is kept when its chi2 lies below the least at the iteration's start by more than `threshold`; the
    search ends when none is. Returns weights, chi2, iteration of birth, and weights @ gram.
    """
    own = np.diag(gram)
    weights, products, squares = np.eye(len(gram)), gram, own
    born = np.zeros(len(gram), int)
    for k in range(1, limits.iterations + 1):
        children = (k * k * squares[:, None] + 2 * k * products + own) / (k + 1) ** 2
        parent, added = np.nonzero(children < chi2.min() - threshold)
        if not len(parent):
            break
        if len(parent) > limits.children:
            best = np.sort(np.argsort(children[parent, added], kind="stable")[: limits.children])
            parent, added = parent[best], added[best]
        new = k * weights[parent]
        new[np.arange(len(parent)), added] += 1.0
        new /= k + 1
        kept = children[parent, added]
        weights, products = np.vstack([weights, new]), np.vstack([products, new @ gram])
        chi2, squares = np.concatenate([chi2, kept]), np.concatenate([squares, kept])
        born = np.concatenate([born, np.full(len(parent), k)])
    return weights, chi2, born, products


def mix(
    weights: Float[np.ndarray, "fit ssp"],
    products: Float[np.ndarray, "fit ssp"],
    top: Float[np.ndarray, "best ssp"],
    gram: Float[np.ndarray, "ssp ssp"],
) -> Float[np.ndarray, "best fit fraction"]:
    """chi2 (top, fit, fraction) of the mixes of weights `top` with all; products: weights @ gram."""
    squares = np.einsum("fs,fs->f", products, weights)
    own = np.einsum("fs,fs->f", top @ gram, top)
    cross = top @ products.T
    q = FRACTIONS
    return (own[:, None, None] + 2 * q * cross[:, :, None] + q * q * squares[:, None]) / (1 + q) ** 2
