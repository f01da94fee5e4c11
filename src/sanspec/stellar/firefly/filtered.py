"""The clean mode's dust: spectra without their slow changes are fitted first; what is left is attenuation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import dct, idct

from sanspec.stellar.firefly import dust, kernels, tree

MODES = 40  # cosine modes (half waves) that the filter takes for slow; it closes over as many more
NODES = 60  # pixels at which the slow parts of solutions are compared
FLOOR = 0.05  # of the median: least slow part that counts
LAGS = 15  # pixels over which residuals may be correlated


@dataclass(frozen=True, eq=False)
class Attenuation:
    """Dust found by the filter.

    ebv [mag]; spread [mag]: standard deviation of E(B-V) over the tree's solutions; relative (pix):
    attenuation over its median; keep (pix): pixels that are no outliers of the filtered fit.
    """

    ebv: float
    spread: float
    relative: Float[np.ndarray, " pix"]
    keep: Bool[np.ndarray, " pix"]


def slow_part(spectra: Float[np.ndarray, "*spec pix"]) -> Float[np.ndarray, "*spec pix"]:
    """The first cosine modes of spectra, whose mirror images stand at either end: nothing wraps around."""
    modes = dct(spectra, axis=-1, norm="ortho")
    number = np.arange(spectra.shape[-1])
    return idct(modes * np.clip(2.0 - number / MODES, 0.0, 1.0), axis=-1, norm="ortho")


def determine(
    wave: Float[np.ndarray, " pix"],
    flux: Float[np.ndarray, " pix"],
    error: Float[np.ndarray, " pix"],
    models: Float[np.ndarray, "ssp pix"],
    slow: Float[np.ndarray, "ssp pix"],
    curve: Float[np.ndarray, " pix"],
    limits: tree.Limits,
    smoothing: float,
    ebv_max: float,
) -> Attenuation:
    """Attenuation by high-pass filtering (Wilkinson et al. 2015, 2017).

    wave: rest; flux and models of median 1; slow: `slow_part` of the models; curve: A / E(B-V) at `wave`;
    smoothing: half width of the running median [Angstrom]. The weights are the mean over the tree, not those
    of its winner.
    """
    level = np.maximum(slow_part(flux), FLOOR)
    fast = flux / level
    filtered = models / slow
    filtered *= (np.median(fast) / np.median(filtered, axis=1))[:, None]
    scaled = tree.residuals(fast, error / level, filtered)
    keep, _ = tree.clip_to_best(scaled)
    clipped = scaled[:, keep]
    gram = clipped @ clipped.T
    penalty = np.log(keep.sum())
    weights, chi2, _, _ = tree.spawn(gram, np.diag(gram), penalty, limits)
    scale = noise_scale(weights[np.argmin(chi2)] @ clipped)
    cost = chi2 / scale + (weights > 0).sum(axis=1) * penalty
    chance = np.exp(-0.5 * (cost - cost.min()))
    chance /= chance.sum()
    mean = chance @ weights
    fine = flux / (mean @ models) - fast / (mean @ filtered) + 1.0
    relative = kernels.running_median(wave, fine / np.median(fine), smoothing)
    spread = _spread(chance, weights, level, slow, curve)
    return Attenuation(dust.nearest_ebv(relative, curve, ebv_max), spread, relative, keep)


def _spread(chance, weights, level, slow, curve):
    """Standard deviation over solutions of the E(B-V) that turns their slow part into the spectrum's."""
    nodes = np.linspace(0, len(curve) - 1, NODES).astype(int)
    slope = curve[nodes] - curve[nodes].mean()
    slope /= -0.4 * np.log(10.0) * (slope @ slope)
    ebv = (np.log(level[nodes]) - np.log(weights @ slow[:, nodes])) @ slope
    mean = chance @ ebv
    return float(np.sqrt(chance @ (ebv - mean) ** 2))


def noise_scale(residual: Float[np.ndarray, " pix"]) -> float:
    """What chi2 is divided with before it becomes a likelihood: its mean, times the pixels that act as one.

    residual: of the best fit, over the errors. The second factor is 1 + 2 sum of the autocorrelation over 15
    pixels, and at least 1: smoothed and resampled spectra have noise alike in neighbouring pixels.
    """
    mean = float(np.mean(residual**2))
    if mean == 0:
        return 1.0
    width = 4.0 * np.std(residual)
    bounded = np.clip(residual - np.median(residual), -width, width)
    lagged = sum(np.mean(bounded[:-lag] * bounded[lag:]) for lag in range(1, LAGS + 1))
    return mean * max(1.0, 1.0 + 2.0 * lagged / np.mean(bounded**2))
