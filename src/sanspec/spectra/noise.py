"""Correlated noise of prepared spectra: an inverse variance and a banded correlation, as in spectra.h5.

The covariance of pixels p and q is sigma_p sigma_q correlation[|p-q| - 1, min(p, q)], and 0 beyond the last lag. Pixels
with ivar 0 are masked: their noise is unknown.
"""

import numpy as np
from jaxtyping import Float

Pixels = Float[np.ndarray, "*#gal pix"]
Correlation = Float[np.ndarray, "*#gal lag pix"]


def standard_deviation(ivar: Float[np.ndarray, "*gal pix"]) -> Float[np.ndarray, "*gal pix"]:
    """1/sqrt(ivar), in the unit of the flux; 0 at masked pixels."""
    ivar = np.asarray(ivar, dtype=np.float64)
    return np.where(ivar > 0, 1.0 / np.sqrt(np.where(ivar > 0, ivar, 1.0)), 0.0)


def covariance_times(vector: Pixels, ivar: Pixels, correlation: Correlation) -> Float[np.ndarray, "*gal pix"]:
    """The noise covariance matrix times `vector`, with the rows and columns of masked pixels 0.

    ivar: inverse variance of the flux; correlation: as stored. Leading axes broadcast.
    """
    sigma = standard_deviation(ivar)
    scaled = sigma * vector
    shape = np.broadcast_shapes(scaled.shape, (*correlation.shape[:-2], scaled.shape[-1]))
    result = np.broadcast_to(scaled, shape).copy()
    for lag in range(correlation.shape[-2]):
        step = lag + 1
        near = correlation[..., lag, :-step].astype(np.float64)
        result[..., :-step] += near * scaled[..., step:]
        result[..., step:] += near * scaled[..., :-step]
    return sigma * result


def noise_variance(
    weights: Pixels, ivar: Pixels, correlation: Correlation
) -> Float[np.ndarray, "*gal"] | float:
    """Variance of sum(weights x flux) over pixels; infinite if a masked pixel has a weight.

    weights: in any unit; ivar: inverse variance of the flux; correlation: as stored. Leading axes broadcast.
    """
    weights = np.asarray(weights, dtype=np.float64)
    result = np.sum(weights * covariance_times(weights, ivar, correlation), axis=-1)
    unknown = np.any((weights != 0) & ~(np.asarray(ivar) > 0), axis=-1)
    return np.where(unknown, np.inf, result)
