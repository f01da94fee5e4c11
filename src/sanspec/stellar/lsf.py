"""Spectra at a lower resolution and on other bins, in one exact linear step."""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.special import ndtr

REACH = 5.0  # standard deviations at which the Gaussian is cut


def smoothing(
    edges_in: Float[np.ndarray, " edge"],
    edges_out: Float[np.ndarray, " out_edge"],
    sigma: Float[np.ndarray, " out"],
) -> csr_array:
    """Operator (out, in): mean over each output bin of a piecewise constant spectrum convolved with a Gaussian.

    edges: ascending, in one unit and frame. sigma: standard deviation at each output bin, same unit, 0 allowed. The
    overlap integrals are closed forms, so that a constant stays constant and nothing is sampled. Rows that reach beyond
    the input are 0.
    """
    sigma = np.maximum(sigma, 1e-9 * np.diff(edges_out))
    low, high = edges_out[:-1], edges_out[1:]
    first = np.searchsorted(edges_in, low - REACH * sigma, side="right") - 1
    last = np.searchsorted(edges_in, high + REACH * sigma, side="left")
    inside = (first >= 0) & (last <= len(edges_in) - 1)
    first, last = np.where(inside, first, 0), np.where(inside, last, 0)
    width = int((last - first).max(initial=0))
    index = np.minimum(first[:, None] + np.arange(width + 1), len(edges_in) - 1)
    knots = edges_in[index]
    mass = _ramp(high[:, None] - knots, sigma[:, None]) - _ramp(low[:, None] - knots, sigma[:, None])
    weights = np.where(np.arange(width) < (last - first)[:, None], mass[:, :-1] - mass[:, 1:], 0.0)
    weights /= np.where(inside, weights.sum(axis=1), 1.0)[:, None]
    rows = np.arange(0, weights.size + 1, width) if width else np.zeros(len(low) + 1, int)
    columns = np.minimum(index[:, :-1], len(edges_in) - 2)
    return csr_array((weights.ravel(), columns.ravel(), rows), shape=(len(low), len(edges_in) - 1))


def _ramp(x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Integral of the Gaussian's cumulative distribution: x Phi(x / sigma) + sigma phi(x / sigma)."""
    scaled = x / sigma
    return x * ndtr(scaled) + sigma * np.exp(-0.5 * scaled**2) / np.sqrt(2 * np.pi)
