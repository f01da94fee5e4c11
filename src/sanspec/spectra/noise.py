"""Correlated noise of prepared spectra: an inverse variance and a banded correlation, as in spectra.h5.

The covariance of pixels p and q is sigma_p sigma_q correlation[|p-q| - 1, min(p, q)], and 0 beyond the last lag. Pixels
with ivar 0 are masked: their noise is unknown.
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cholesky_banded

# White noise mixed in, the smallest that makes the nearly singular correlation of smoothed noise positive definite
_RIDGES = (0.0, 0.003, 0.01, 0.03, 0.1)


def standard_deviation(ivar: Float[np.ndarray, "*gal pix"]) -> Float[np.ndarray, "*gal pix"]:
    """1/sqrt(ivar), in the unit of the flux; 0 at masked pixels."""
    ivar = np.asarray(ivar, dtype=np.float64)
    return np.where(ivar > 0, 1.0 / np.sqrt(np.where(ivar > 0, ivar, 1.0)), 0.0)


def covariance_times(
    vector: Float[np.ndarray, "*#gal pix"],
    ivar: Float[np.ndarray, "*#gal pix"],
    correlation: Float[np.ndarray, "*#gal lag pix"],
) -> Float[np.ndarray, "*gal pix"]:
    """The noise covariance matrix times `vector`, with the rows and columns of masked pixels 0.

    ivar: inverse variance of the flux; correlation: as stored. Leading axes broadcast.
    """
    sigma = standard_deviation(ivar)
    scaled = sigma * vector
    result = np.broadcast_to(
        scaled, np.broadcast_shapes(scaled.shape, (*correlation.shape[:-2], scaled.shape[-1]))
    ).copy()
    for lag in range(correlation.shape[-2]):
        step = lag + 1
        near = correlation[..., lag, :-step].astype(np.float64)
        result[..., :-step] += near * scaled[..., step:]
        result[..., step:] += near * scaled[..., :-step]
    return sigma * result


def noise_variance(
    weights: Float[np.ndarray, "*#gal pix"],
    ivar: Float[np.ndarray, "*#gal pix"],
    correlation: Float[np.ndarray, "*#gal lag pix"],
) -> Float[np.ndarray, "*gal"] | float:
    """Variance of sum(weights x flux) over pixels; infinite if a masked pixel has a weight.

    weights: in any unit; ivar: inverse variance of the flux; correlation: as stored. Leading axes broadcast.
    """
    weights = np.asarray(weights, dtype=np.float64)
    result = np.sum(weights * covariance_times(weights, ivar, correlation), axis=-1)
    unknown = np.any((weights != 0) & ~(np.asarray(ivar) > 0), axis=-1)
    return np.where(unknown, np.inf, result)


def draw_noise(
    ivar: Float[np.ndarray, " pix"],
    correlation: Float[np.ndarray, "lag pix"],
    rng: np.random.Generator,
    draws: int,
) -> Float[np.ndarray, "draw pix"]:
    """Noise realisations of one spectrum from its banded covariance, in the unit of the flux; 0 at masked pixels.

    The band is cut at its last lag and rounded to 16 bits. If that is not positive definite, up to a few per cent of
    white noise is mixed in.
    """
    factor = _factor(correlation.astype(np.float64))
    white = rng.standard_normal((draws, len(ivar)))
    noise = factor[0] * white
    for step in range(1, len(factor)):
        noise[:, step:] += factor[step, :-step] * white[:, :-step]
    return standard_deviation(ivar) * noise


def _factor(correlation: np.ndarray) -> np.ndarray:
    """Lower banded Cholesky factor of the correlation matrix, its diagonal kept at 1."""
    for ridge in _RIDGES:
        try:
            band = np.vstack([np.ones((1, correlation.shape[1])), correlation / (1.0 + ridge)])
            return cholesky_banded(band, lower=True)
        except LinAlgError:
            continue
    raise ValueError("not a correlation: a ridge of 10 % does not make it positive definite")
