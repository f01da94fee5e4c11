"""The line-spread function: contributions of the spectrograph, of smoothing and of rebinning.

A width is that of the profile as sampled by the pixels, as for SDSS's `wdisp`: it includes the average over a pixel.
Widths add in quadrature, so all quantities here are variances [Angstrom^2] until the end.

Rebinning by exact overlap spreads a native sample over its bin (width p) and averages over a product bin, which adds
p^2/12 + 1/12 A^2: at 8000 A, where p = 1.84 A, this is a fifth of the native variance. So the kernel of `constant_fwhm`
has the variance target - native - rebinning, and the product has the target width.
"""

import functools

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.spectra import grid

_LINE_PIXELS = 1.5  # dispersion of a smoothed line [native pixels]


def native_wave(first: int, pixels: int) -> Float[np.ndarray, " native"]:
    """Centres [Angstrom] of `pixels` pixels of the common SDSS grid, from index `first`."""
    return 10.0 ** (grid.LOGLAM_STEP * np.arange(first, first + pixels))


def native_width(first: int, pixels: int) -> Float[np.ndarray, " native"]:
    """Widths [Angstrom] of the same pixels."""
    return np.diff(grid.loglam_edges(first, pixels))


def native_variance(wdisp: Float[np.ndarray, "gal native"], first: int) -> Float[np.ndarray, "gal native"]:
    """Variance [Angstrom^2] of the spectrograph's LSF from `wdisp` [pixels].

    Unknown pixels (wdisp 0) are interpolated between known ones; a spectrum without a known pixel is NaN.
    """
    filled = np.array(wdisp, dtype=np.float64)
    pixel = np.arange(wdisp.shape[1])
    for row in filled:
        known = row > 0
        row[~known] = np.interp(pixel[~known], pixel[known], row[known]) if known.any() else np.nan
    return (filled * native_width(first, wdisp.shape[1])) ** 2


def rebinning_variance(first: int, pixels: int) -> Float[np.ndarray, " native"]:
    """Variance [Angstrom^2] added by rebinning from the common grid onto 1 A bins: that of the two boxes."""
    return (native_width(first, pixels) ** 2 + 1.0) / 12.0


@functools.lru_cache(maxsize=8)
def rebinning_beat(first: int, pixels: int) -> Float[np.ndarray, " native"]:
    """Variance [Angstrom^2] that rebinning without blur adds at each native pixel beyond `rebinning_variance`.

    The two grids beat against each other, and so does the mean square distance from the centre of a native pixel to
    the bins that its flux falls into; here it is averaged over the width of a line. A blur of about one pixel removes
    the beat.
    """
    wave, edges = native_wave(first, pixels), grid.loglam_edges(first, pixels)
    bins = grid.bin_edges(grid.WAVE)
    at = np.searchsorted(bins, edges[:-1], side="right") - 1
    share, square = np.zeros(pixels), np.zeros(pixels)
    for k in range(int(np.ceil(np.diff(edges).max())) + 1):
        j = np.clip(at + k, 0, len(grid.WAVE) - 1)
        overlap = np.clip(np.minimum(bins[j + 1], edges[1:]) - np.maximum(bins[j], edges[:-1]), 0, None)
        share += overlap
        square += overlap * (grid.WAVE[j] - wave) ** 2
    inside = share > 0.99 * np.diff(edges)
    moment = np.interp(wave, wave[inside], square[inside] / share[inside])
    return gaussian_filter1d(moment, _LINE_PIXELS, mode="nearest") - rebinning_variance(first, pixels)


def kernel_variance(
    native: Float[np.ndarray, "gal native"], rebinning: Float[np.ndarray, " native"], fwhm: float
) -> Float[np.ndarray, "gal native"]:
    """Variance [Angstrom^2] of the kernel that gives the product the target `fwhm` [Angstrom].

    0 where the native LSF is already broader than the target.
    """
    return np.nan_to_num(np.maximum((fwhm / FWHM_PER_SIGMA) ** 2 - native - rebinning, 0.0))


def at_coarse(values: Float[np.ndarray, "*gal native"], first: int) -> Float[np.ndarray, "*gal coarse"]:
    """Values on native pixels, interpolated at the centres of the coarse grid."""
    place = np.log10(grid.coarse_wave()) / grid.LOGLAM_STEP - first
    left = np.clip(place.astype(np.int64), 0, values.shape[-1] - 2)
    part = np.clip(place - left, 0.0, 1.0)
    return (1.0 - part) * values[..., left] + part * values[..., left + 1]


def fwhm(variance: Float[np.ndarray, "*pix"]) -> Float[np.ndarray, "*pix"]:
    """FWHM [Angstrom] of a Gaussian with the given variance [Angstrom^2]."""
    return FWHM_PER_SIGMA * np.sqrt(variance)
