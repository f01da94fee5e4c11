"""Spectral indices and their errors, measured in place: windows are moved to the spectrum, not it to them.

A window is a set of pixel weights, those of its outermost pixels by the part that lies inside, so that
nothing is resampled. An index is a function of a few such means, its error the propagation of the pixels'
covariance through it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sanspec.errors import Warn
from sanspec.physics.air import air_to_vac
from sanspec.physics.lines import Band, Index
from sanspec.spectra import grid, noise

MASKED = 0.2  # fraction of a window above which masked pixels spoil the index


@dataclass(frozen=True)
class Measured:
    """An index of every galaxy: value, 1-sigma error (NaN where unknown) and WARN bits."""

    value: Float[np.ndarray, " gal"]
    error: Float[np.ndarray, " gal"]
    warn: np.ndarray


def measure(
    index: Index,
    flux: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    ivar: Float[np.ndarray, "gal pix"] | None = None,
    correlation: Float[np.ndarray, "gal lag pix"] | None = None,
    wave: Float[np.ndarray, " pix"] = grid.WAVE,
) -> Measured:
    """The index of every spectrum at its redshift.

    flux: any scale, observed frame, on `wave` (vacuum Angstrom), NaN where unknown; ivar: inverse variance,
    0 where masked (None: every finite pixel is good, and errors are NaN); correlation: of the noise of
    pixels p and p+1+lag (None: independent). Masked pixels leave a window's mean to its other pixels. NaN
    and NO_INDEX where a window leaves the grid, more than a fifth of it is masked, the index is not
    defined, or z is not finite.
    """
    edges = grid.bin_edges(wave)
    good = np.isfinite(flux) if ivar is None else np.isfinite(flux) & (ivar > 0)
    pixels = np.where(good, flux, 0.0).astype(np.float64)
    blue, blue_good = window(edges, good, z, index.blue)
    red, red_good = window(edges, good, z, index.red)
    value, slope = break_fnu(pixels, blue * wave**2, red * wave**2)
    usable = np.isfinite(z) & (np.minimum(blue_good, red_good) >= 1 - MASKED) & np.isfinite(value)
    error = (
        np.full(len(flux), np.nan)
        if ivar is None
        else propagate(slope, np.where(good, ivar, 0.0), correlation)
    )
    warn = np.where(usable, 0, int(Warn.NO_INDEX)).astype(np.uint32)
    return Measured(np.where(usable, value, np.nan), np.where(usable, error, np.nan), warn)


def window(
    edges: Float[np.ndarray, " edge"], good: np.ndarray, z: Float[np.ndarray, " gal"], band: Band
) -> tuple[Float[np.ndarray, "gal pix"], Float[np.ndarray, " gal"]]:
    """Weights that take the mean over a window given in rest-frame air, and the good fraction of the window.

    edges: of the pixels, vacuum, observed frame [Angstrom]; good: (gal, pix). Each row of weights sums to
    1, or to 0 where no pixel is good. The fraction is 0 for a window that leaves the grid.
    """
    low, high = np.outer(air_to_vac(np.array(band)), 1 + np.nan_to_num(z))[:, :, None]
    overlap = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0.0, None) * good
    total = overlap.sum(axis=1, keepdims=True)
    inside = (low >= edges[0]) & (high <= edges[-1])
    return overlap / np.where(total > 0, total, 1.0), np.where(inside, total / (high - low), 0.0)[:, 0]


def break_fnu(
    flux: Float[np.ndarray, "gal pix"], blue: Float[np.ndarray, "gal pix"], red: Float[np.ndarray, "gal pix"]
) -> tuple[Float[np.ndarray, " gal"], Float[np.ndarray, "gal pix"]]:
    """Ratio of the weighted means red / blue (Balogh et al. 1999) and its derivatives; NaN if blue <= 0."""
    above, below = np.sum(red * flux, axis=1), np.sum(blue * flux, axis=1)
    below = np.where(below > 0, below, np.nan)
    value = above / below
    return value, (red - value[:, None] * blue) / below[:, None]


def propagate(
    slope: Float[np.ndarray, "gal pix"],
    ivar: Float[np.ndarray, "gal pix"],
    correlation: Float[np.ndarray, "gal lag pix"] | None = None,
) -> Float[np.ndarray, " gal"]:
    """1-sigma error of a quantity with derivative `slope` by every pixel, 0 at masked ones.

    ivar, correlation: the covariance of the pixels as in `noise`; without correlation they are independent.
    """
    if correlation is None:
        return np.sqrt(np.sum((slope * noise.standard_deviation(ivar)) ** 2, axis=1))
    return np.sqrt(np.maximum(noise.noise_variance(slope, ivar, correlation), 0.0))
