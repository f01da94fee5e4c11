"""Noise realisations from the banded covariance of prepared spectra, for tests of errors."""

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cholesky_banded

from sanspec.spectra import noise

# White noise mixed in, the smallest that makes the nearly singular correlation of smoothed noise positive definite
_RIDGES = (0.0, 0.003, 0.01, 0.03, 0.1)


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
    drawn = factor[0] * white
    for step in range(1, len(factor)):
        drawn[:, step:] += factor[step, :-step] * white[:, :-step]
    return noise.standard_deviation(ivar) * drawn


def _factor(correlation: np.ndarray) -> np.ndarray:
    """Lower banded Cholesky factor of the correlation matrix, its diagonal kept at 1."""
    for ridge in _RIDGES:
        try:
            band = np.vstack([np.ones((1, correlation.shape[1])), correlation / (1.0 + ridge)])
            return cholesky_banded(band, lower=True)
        except LinAlgError:
            continue
    raise ValueError("not a correlation: a ridge of 10 % does not make it positive definite")
