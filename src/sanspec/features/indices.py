"""The 4000 Angstrom break and its error: windows are moved to the redshift of the spectrum, nothing is resampled.

A window is a set of pixel weights, those of its outermost pixels by the part that lies inside. An index is a function
of such means; its error propagates the pixels' covariance through it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sanspec.errors import Warn
from sanspec.physics.air import air_to_vac
from sanspec.physics.lines import Band, Index
from sanspec.spectra import grid, noise

MASKED = 0.2  # maximum masked fraction of a window


@dataclass(frozen=True)
class Measured:
    """An index of every galaxy: value, 1-sigma error (NaN where unknown) and WARN bits."""

    value: Float[np.ndarray, " gal"]
    error: Float[np.ndarray, " gal"]
    warn: np.ndarray


def missing(value: Float[np.ndarray, "*gal"]) -> np.ndarray:
    """NO_INDEX where there is no value."""
    return np.where(np.isfinite(value), 0, int(Warn.NO_INDEX)).astype(np.uint32)


def break_strength(
    index: Index,
    flux: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    ivar: Float[np.ndarray, "gal pix"] | None = None,
    correlation: Float[np.ndarray, "gal lag pix"] | None = None,
    wave: Float[np.ndarray, " pix"] = grid.WAVE,
) -> Measured:
    """Ratio red / blue of the mean F_nu in two windows of every spectrum at its redshift (Balogh et al. 1999).

    flux: any scale, observed frame, on `wave` (vacuum Angstrom), NaN where unknown; ivar: inverse variance, 0 where
    masked (None: every finite pixel is good, and errors are NaN); correlation: of the noise of pixels p and p+1+lag
    (None: independent). The mean of a window is that of its good pixels. NaN and NO_INDEX where a window leaves the
    grid, more than a fifth of it is masked, the blue mean is not positive, or z is not finite.
    """
    edges = grid.bin_edges(wave)
    good = np.isfinite(flux) if ivar is None else np.isfinite(flux) & (ivar > 0)
    pixels = np.where(good, flux, 0.0).astype(np.float64)
    (blue, blue_good), (red, red_good) = (window(edges, good, z, band) for band in (index.blue, index.red))
    blue, red = blue * wave**2, red * wave**2
    above, below = np.sum(red * pixels, axis=1), np.sum(blue * pixels, axis=1)
    below = np.where(below > 0, below, np.nan)
    value = above / below
    usable = np.isfinite(z) & (np.minimum(blue_good, red_good) >= 1 - MASKED) & np.isfinite(value)
    value, error = np.where(usable, value, np.nan), np.full(len(flux), np.nan)
    if ivar is not None:
        slope = (red - (above / below)[:, None] * blue) / below[:, None]
        near = np.zeros((len(flux), 0, len(wave))) if correlation is None else correlation
        variance = noise.noise_variance(slope, np.where(good, ivar, 0.0), near)
        error = np.where(usable, np.sqrt(np.maximum(variance, 0.0)), np.nan)
    return Measured(value, error, missing(value))


def window(
    edges: Float[np.ndarray, " edge"], good: np.ndarray, z: Float[np.ndarray, " gal"], band: Band
) -> tuple[Float[np.ndarray, "gal pix"], Float[np.ndarray, " gal"]]:
    """Weights that take the mean over a window given in rest-frame air, and the good fraction of the window.

    edges: of the pixels, vacuum, observed frame [Angstrom]; good: (gal, pix). Each row of weights sums to 1, or to 0
    where no pixel is good. The fraction is 0 for a window that leaves the grid.
    """
    low, high = np.outer(air_to_vac(np.array(band)), 1 + np.nan_to_num(z))[:, :, None]
    overlap = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0.0, None) * good
    total = overlap.sum(axis=1, keepdims=True)
    inside = (low >= edges[0]) & (high <= edges[-1])
    return overlap / np.where(total > 0, total, 1.0), np.where(inside, total / (high - low), 0.0)[:, 0]
