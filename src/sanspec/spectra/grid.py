"""Wavelength grids: the product grid, its coarse version, log-linear grids, and rebinning between them.

Every wavelength is in vacuum and the observed frame unless its name says otherwise (`wave_air`, `rest_wave`).
A spectrum is a flux density; a pixel is the bin between two edges and its value the mean density over that
bin, so that rebinning conserves flux and leaves a constant constant.
"""

import numba
import numpy as np
from jaxtyping import Bool, Float

Rows = Float[np.ndarray, "gal pix"]
Pixels = Float[np.ndarray, " pix"]

WAVE = np.arange(4000.0, 8500.0)  # the product grid: 4500 pixel centres [Angstrom]
COARSE_BLOCK = 8  # pixels averaged into each of the 563 coarse ones (Doorenbos et al. 2024, appendix A)
LOGLAM_STEP = 1e-4  # pixel of SDSS spectra [dex]
COVERED = 0.5  # part of a bin that must be covered by good pixels for its value to count

WAVE.setflags(write=False)

# ------------------------------------------------------------------------------------------------------ grids


def bin_edges(wave: Pixels) -> Float[np.ndarray, " pix+1"]:
    """Edges of the bins centred on `wave` [Angstrom]: half way between neighbours, end bins symmetric."""
    inner = 0.5 * (wave[1:] + wave[:-1])
    return np.concatenate([[2 * wave[0] - inner[0]], inner, [2 * wave[-1] - inner[-1]]])


def loglam_index(loglam: Pixels) -> np.ndarray:
    """Position on the common SDSS grid, round(1e4 loglam), int64; exact in spite of float32 rounding."""
    return np.rint(np.asarray(loglam, dtype=np.float64) / LOGLAM_STEP).astype(np.int64)


def loglam_edges(first: int, pixels: int) -> Float[np.ndarray, " {pixels}+1"]:
    """Edges [Angstrom] of `pixels` bins of the common SDSS grid, the first at index `first`."""
    return 10.0 ** (LOGLAM_STEP * (np.arange(first, first + pixels + 1) - 0.5))


def coarse_wave(wave: Pixels = WAVE) -> Float[np.ndarray, " coarse"]:
    """Centres [Angstrom] of the coarse pixels: 563 for the product grid, the last made of 4 pixels."""
    return np.add.reduceat(wave, _blocks(len(wave))) / _block_sizes(len(wave))


def coarse(
    log_flux: Rows, mask: Bool[np.ndarray, "gal pix"]
) -> tuple[Float[np.ndarray, "gal coarse"], Bool[np.ndarray, "gal coarse"]]:
    """Coarse log spectra: mean over the valid pixels of each block of 8 (Doorenbos et al. 2024, appendix A).

    log_flux: natural log, gaps filled; mask: true = use. Returns the means (float32) and their mask; a block
    with no valid pixel is the mean of its filled values, and masked.
    """
    starts, sizes = _blocks(log_flux.shape[1]), _block_sizes(log_flux.shape[1])
    count = np.add.reduceat(mask.astype(np.int64), starts, axis=1)
    valid = np.add.reduceat(np.where(mask, log_flux, 0.0), starts, axis=1) / np.maximum(count, 1)
    filled = np.add.reduceat(log_flux.astype(np.float64), starts, axis=1) / sizes
    return np.where(count > 0, valid, filled).astype(np.float32), count > 0


def _blocks(pixels: int) -> np.ndarray:
    """First pixel of each coarse block."""
    return np.arange(0, pixels, COARSE_BLOCK)


def _block_sizes(pixels: int) -> np.ndarray:
    """Pixels in each coarse block."""
    return np.diff(np.append(_blocks(pixels), pixels))


# -------------------------------------------------------------------------------------------------- rebinning


def rebin(
    edges_in: Float[np.ndarray, " edge"],
    flux: Float[np.ndarray, "*gal old"],
    edges_out: Float[np.ndarray, " new_edge"],
) -> Float[np.ndarray, "*gal new_edge-1"]:
    """Flux density on other bins, conserving flux by exact bin overlap (Carnall 2017, eq. 1).

    Both sets of edges in one unit. Each value is the mean over the finite part of its bin; NaN where finite
    pixels cover less than half of it.
    """
    rows = np.asarray(flux, dtype=np.float64).reshape(-1, np.shape(flux)[-1])
    scale = np.ones(len(rows))
    result = _rebin_rows(_float(edges_in), scale, np.ascontiguousarray(rows), _float(edges_out), COVERED)
    return result.reshape(*np.shape(flux)[:-1], len(edges_out) - 1)


def rest_frame(
    flux: Rows, z: Float[np.ndarray, " gal"], rest_wave: Float[np.ndarray, " rest"], wave: Pixels = WAVE
) -> Float[np.ndarray, "gal rest"]:
    """Spectra moved to the rest frame and rebinned onto `rest_wave`, each by its own redshift.

    flux: flux density on `wave` (observed frame); z: redshift; rest_wave: pixel centres [Angstrom, rest
    frame]. The mean density is kept (a constant stays constant; no factor 1+z). NaN outside the coverage, as
    in `rebin`.
    """
    return _rebin_rows(
        bin_edges(_float(wave)),
        1.0 / (1.0 + _float(z)),
        np.ascontiguousarray(flux, dtype=np.float64),
        bin_edges(_float(rest_wave)),
        COVERED,
    )


def to_loglam(
    flux: Rows, first: int, pixels: int, z: Float[np.ndarray, " gal"] | None = None, wave: Pixels = WAVE
) -> Float[np.ndarray, "gal log"]:
    """Spectra on the common 1e-4 dex grid, `pixels` of it from `first`; in the rest frame if `z` is given.

    flux: flux density on `wave`. As `rest_frame` in everything else.
    """
    scale = np.ones(len(flux)) if z is None else 1.0 / (1.0 + _float(z))
    rows = np.ascontiguousarray(flux, dtype=np.float64)
    return _rebin_rows(bin_edges(_float(wave)), scale, rows, loglam_edges(first, pixels), COVERED)


def _float(values: np.ndarray) -> np.ndarray:
    """Contiguous float64, as the kernel takes it."""
    return np.ascontiguousarray(values, dtype=np.float64)


@numba.njit(cache=True, nogil=True)
def _rebin_rows(edges_in, scale, flux, edges_out, covered):
    """Rows of `flux`, edges `edges_in * scale[row]`, averaged over the bins `edges_out` by exact overlap."""
    rows, pixels = flux.shape
    bins = len(edges_out) - 1
    result = np.full((rows, bins), np.nan)
    for row in range(rows):
        factor = scale[row]
        first = 0
        for out in range(bins):
            low, high = edges_out[out], edges_out[out + 1]
            while first < pixels and edges_in[first + 1] * factor <= low:
                first += 1
            total, weight, pixel = 0.0, 0.0, first
            while pixel < pixels and edges_in[pixel] * factor < high:
                overlap = min(high, edges_in[pixel + 1] * factor) - max(low, edges_in[pixel] * factor)
                if np.isfinite(flux[row, pixel]):
                    total += overlap * flux[row, pixel]
                    weight += overlap
                pixel += 1
            if weight > 0.0 and weight >= covered * (high - low) * (1.0 - 1e-12):
                result[row, out] = total / weight
    return result
