"""Dust of the clean mode: spectra without their slow part are fitted first; what remains is the attenuation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.fft import dct, idct
from scipy.optimize import minimize_scalar

from sanspec.physics.dust import transmission
from sanspec.stellar.firefly import kernels, tree

Pixels = Float[np.ndarray, " pix"]
Spectra = Float[np.ndarray, "*spec pix"]
Models = Float[np.ndarray, "ssp pix"]

MODES = 40  # cosine modes (half waves) that count as slow; the filter closes over as many more
CHILDREN = 1000  # combinations kept at most in one iteration of the filtered fit
NODES = 60  # pixels at which the slow parts of solutions are compared
FLOOR = 0.05  # of the median: minimum of the slow part
LAGS = 15  # pixels over which residuals may be correlated


@dataclass(frozen=True, eq=False)
class Attenuation:
    """Dust found by the filter.

    ebv [mag]. spread [mag]: standard deviation of E(B-V) over the tree's solutions. relative (pix): attenuation over
    its median. keep (pix): pixels that are no outliers of the filtered fit.
    """

    ebv: float
    spread: float
    relative: Pixels
    keep: Bool[np.ndarray, " pix"]


def slow_part(spectra: Spectra) -> Spectra:
    """The first cosine modes of spectra, mirrored at either end so that nothing wraps around."""
    modes = dct(spectra, axis=-1, norm="ortho")
    number = np.arange(spectra.shape[-1])
    return idct(modes * np.clip(2.0 - number / MODES, 0.0, 1.0), axis=-1, norm="ortho")


def find_attenuation(
    wave: Pixels, flux: Pixels, error: Pixels, models: Models, slow: Models, curve: Pixels, ebv_max: float
) -> Attenuation:
    """Attenuation by high-pass filtering (Wilkinson et al. 2015, 2017).

    wave: rest. flux, models: of median 1. slow: `slow_part` of the models. curve: A / E(B-V) at `wave`. The weights are
    the mean over the tree, not those of its best solution. The spread is that of the E(B-V) which turn the slow part
    of a solution into that of the spectrum.
    """
    level = np.maximum(slow_part(flux), FLOOR)
    fast = flux / level
    filtered = models / slow
    filtered *= (np.median(fast) / np.median(filtered, axis=1))[:, None]
    scaled = (filtered - fast) / (error / level)
    keep, _ = tree.clip_to_best(scaled)
    clipped = scaled[:, keep]
    gram = clipped @ clipped.T
    penalty = np.log(keep.sum())
    weights, chi2, _, _ = tree.spawn(gram, np.diag(gram), penalty, children=CHILDREN)
    scale = noise_scale(weights[np.argmin(chi2)] @ clipped)
    cost = chi2 / scale + (weights > 0).sum(axis=1) * penalty
    chance = np.exp(-0.5 * (cost - cost.min()))
    chance /= chance.sum()
    mean = chance @ weights
    fine = flux / (mean @ models) - fast / (mean @ filtered) + 1.0
    relative = kernels.running_median(wave, fine / np.median(fine), kernels.SMOOTHING)
    nodes = np.linspace(0, len(curve) - 1, NODES).astype(int)
    slope = curve[nodes] - curve[nodes].mean()
    slope /= -0.4 * np.log(10.0) * (slope @ slope)
    ebv = (np.log(level[nodes]) - np.log(weights @ slow[:, nodes])) @ slope
    spread = float(np.sqrt(chance @ (ebv - chance @ ebv) ** 2))
    return Attenuation(nearest_ebv(relative, curve, ebv_max), spread, relative, keep)


def nearest_ebv(attenuation: Pixels, curve: Pixels, ebv_max: float) -> float:
    """E(B-V) [mag], 0 to ebv_max, of the curve nearest to an attenuation in the mean absolute difference.

    Both are relative to their median. Unlike `compat.best_ebv` it is not bound to a grid, nor drawn by outliers.
    """
    middle = np.sort(curve)[[(len(curve) - 1) // 2, len(curve) // 2]]

    def apart(ebv: float) -> float:
        shape = transmission(ebv, curve) / transmission(ebv, middle).mean()
        return float(np.abs(attenuation - shape).mean())

    return float(minimize_scalar(apart, bounds=(0.0, ebv_max), method="bounded", options={"xatol": 1e-4}).x)


def noise_scale(residual: Pixels) -> float:
    """The divisor that turns chi2 into a likelihood: mean chi2 per pixel times the number of correlated pixels.

    residual: of the best fit, over the errors. The number is 1 + 2 times the sum of the autocorrelation over 15
    pixels, and at least 1: the noise of smoothed and resampled spectra is correlated between neighbours.
    """
    mean = float(np.mean(residual**2))
    if mean == 0:
        return 1.0
    width = 4.0 * np.std(residual)
    bounded = np.clip(residual - np.median(residual), -width, width)
    lagged = sum(np.mean(bounded[:-lag] * bounded[lag:]) for lag in range(1, LAGS + 1))
    return mean * max(1.0, 1.0 + 2.0 * lagged / np.mean(bounded**2))
