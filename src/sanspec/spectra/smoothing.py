"""Smoothing and resampling as one banded linear operator T per spectrum, with the covariance of its noise.

A native spectrum f becomes T f / T g, where g is 1 on good pixels and 0 elsewhere: bad pixels have no weight, and a
constant stays constant. The covariance of the result is T V T' with the rows of T normalised and V the native
variances.

There are two operators. `blurred` spreads the flux of each native pixel evenly over its width, blurs it by a Gaussian
with the pixel's own variance, and integrates it over the bins of the product grid. It conserves flux and constants,
variances add exactly (Gaussian + width^2/12 + bin^2/12), and without blur it is rebinning by exact overlap (Carnall
2017). `released` rebins and then convolves with one Gaussian sampled on the product grid, as the code released with
Doorenbos et al. (2024) does.
"""

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float, Int
from scipy import sparse
from scipy.stats import norm

from sanspec.spectra import grid

Native = Float[np.ndarray, "gal native"]
Pixels = Float[np.ndarray, "gal pix"]

LEAST_CORRELATION = 0.01  # noise correlation below which a lag is dropped
_TAIL = 5.0  # reach of a Gaussian in standard deviations: 6e-7 of its weight lies beyond
_TABLE_STEP = 1 / 512  # of the tabulated blurred edge [standard deviations]


@dataclass(frozen=True)
class Operator:
    """The part of T that all spectra of a window share: row j weights the native pixels from `origin[j]` on.

    edges: of the native pixels [Angstrom]. weights (pix, width): T itself if it is `shared` by all spectra, zeros if it
    depends on the blur of each spectrum.
    """

    edges: Float[np.ndarray, " edge"]
    origin: Int[np.ndarray, " pix"]
    weights: Float[np.ndarray, "pix width"]
    shared: bool


def lags_needed(sigma: float) -> int:
    """Number of 1 A lags with a noise correlation above 1 % after smoothing by at most `sigma` [Angstrom].

    White noise smoothed by a Gaussian has the correlation exp(-d^2 / 4 sigma^2) at distance d.
    """
    return int(np.ceil(2.0 * sigma * np.sqrt(np.log(1.0 / LEAST_CORRELATION))))


# ---------------------------------------------------------------------------------------------- the operators


@functools.lru_cache(maxsize=8)
def blurred(first: int, pixels: int, sigma_most: float) -> Operator:
    """Operator for a window of `pixels` pixels from index `first`, with blurs of up to `sigma_most` [A]."""
    edges = grid.loglam_edges(first, pixels)
    bins, reach = grid.bin_edges(grid.WAVE), _TAIL * sigma_most
    origin = np.clip(np.searchsorted(edges, bins[:-1] - reach, side="right") - 1, 0, pixels - 1)
    end = np.clip(np.searchsorted(edges, bins[1:] + reach, side="left"), 1, pixels)
    return Operator(edges, origin, np.zeros((len(origin), (end - origin).max())), False)


@functools.lru_cache(maxsize=8)
def released(first: int, pixels: int, sigma: float) -> Operator:
    """Operator that rebins and then smooths by a sampled Gaussian of `sigma` [Angstrom], cut at 4 sigma.

    Rebinned pixels beyond both ends of the product grid take part, so that no padding is needed.
    """
    offsets, kernel = sampled_gaussian(sigma)
    wave = np.arange(grid.WAVE[0] + offsets[0], grid.WAVE[-1] + offsets[-1] + 0.5)
    edges = grid.loglam_edges(first, pixels)
    smooth = sparse.diags_array(kernel, offsets=np.arange(len(kernel)), shape=(len(grid.WAVE), len(wave)))
    return _banded(edges, (smooth @ _overlaps(edges, grid.bin_edges(wave))).tocsr())


def sampled_gaussian(sigma: float) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Offsets and weights of a Gaussian of `sigma` pixels, sampled and cut at 4 sigma as in the released code."""
    reach = round(4 * sigma)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return offsets, weights / weights.sum()


def _overlaps(edges_in: np.ndarray, edges_out: np.ndarray) -> sparse.csr_array:
    """Fraction of each output bin (rows) that each input bin (columns) covers."""
    cuts = np.unique(np.concatenate([edges_in, edges_out]))
    middle, width = 0.5 * (cuts[1:] + cuts[:-1]), np.diff(cuts)
    row = np.searchsorted(edges_out, middle) - 1
    column = np.searchsorted(edges_in, middle) - 1
    shape = (len(edges_out) - 1, len(edges_in) - 1)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    row, column, width = row[inside], column[inside], width[inside]
    return sparse.csr_array((width / np.diff(edges_out)[row], (row, column)), shape=shape)


def _banded(edges: np.ndarray, matrix: sparse.csr_array) -> Operator:
    """A banded sparse matrix as an operator."""
    matrix.sort_indices()
    sizes = np.diff(matrix.indptr)
    origin = np.zeros(len(sizes), dtype=np.int64)
    origin[sizes > 0] = matrix.indices[matrix.indptr[:-1][sizes > 0]]
    row = np.repeat(np.arange(len(sizes)), sizes)
    place = matrix.indices - origin[row]
    weights = np.zeros((len(sizes), place.max() + 1))
    weights[row, place] = matrix.data
    return Operator(edges, origin, weights, True)


@functools.cache
def _edge_table() -> Float[np.ndarray, " step"]:
    """u Phi(u) + phi(u), the integral of the normal distribution, for u from -5 to 5."""
    u = np.arange(-_TAIL, _TAIL + 1.5 * _TABLE_STEP, _TABLE_STEP)
    return u * norm.cdf(u) + norm.pdf(u)


@numba.njit(cache=True, nogil=True)
def _blurred_ramp(x, sigma, table):
    """max(x, 0) blurred by a Gaussian."""
    if x <= -_TAIL * sigma:
        return 0.0
    if x >= _TAIL * sigma:
        return x
    position = (x / sigma + _TAIL) / _TABLE_STEP
    step = int(position)
    return sigma * (table[step] + (position - step) * (table[step + 1] - table[step]))


@numba.njit(cache=True, nogil=True)
def _fill_band(blur, edges, wave_edges, table, origin, band, low, high):
    """T of one spectrum: `band[j, m - origin[j]]` is the part of blurred pixel m that falls into product bin j.

    A blurred pixel is the part above its lower blurred edge minus the part above its upper one. An edge has the mean
    variance of its two pixels: what one pixel loses there the next one gains, so that T conserves flux and constants.
    Row j is non-zero at places [low[j], high[j]).
    """
    native = len(blur)
    band[:] = 0.0
    low[:], high[:] = band.shape[1], 0
    lower, upper = np.empty(len(origin)), np.empty(len(origin))
    begin, end = _above(edges[0], blur[0], wave_edges, table, lower)
    for m in range(native):
        variance = 0.5 * (blur[m] + blur[min(m + 1, native - 1)])
        first, last = _above(edges[m + 1], variance, wave_edges, table, upper)
        for j in range(min(begin, first), max(end, last)):
            here = 0.0 if j < begin else (1.0 if j >= end else lower[j])
            above = 0.0 if j < first else (1.0 if j >= last else upper[j])
            place = m - origin[j]
            band[j, place] = here - above
            low[j], high[j] = min(low[j], place), max(high[j], place + 1)
        begin, end = first, last
        lower, upper = upper, lower


@numba.njit(cache=True, nogil=True)
def _above(edge, variance, wave_edges, table, part):
    """Bins [first, last) that a blurred edge divides; `part` gets the fraction of each that lies above it."""
    bins = len(wave_edges) - 1
    sigma, width = np.sqrt(variance), wave_edges[1] - wave_edges[0]
    first = min(max(int(np.floor((edge - _TAIL * sigma - wave_edges[0]) / width)), 0), bins)
    last = min(max(int(np.ceil((edge + _TAIL * sigma - wave_edges[0]) / width)), first), bins)
    before = _blurred_ramp(wave_edges[first] - edge, sigma, table)
    for j in range(first, last):
        after = _blurred_ramp(wave_edges[j + 1] - edge, sigma, table)
        part[j] = (after - before) / width
        before = after
    return first, last


# ------------------------------------------------------------------------------------------ their application


def resample(
    flux: Native, ivar: Native, blur: Native, operator: Operator, lags: int, threads: int | None = None
) -> tuple[Pixels, Pixels, Float[np.ndarray, "gal lag pix"], Pixels]:
    """Spectra smoothed and resampled onto the product grid, with the covariance of their noise.

    flux: any unit, finite; ivar: 0 = bad; blur: variance of the Gaussian of each pixel [Angstrom^2] (`blurred` only).
    Returns flux (unit of the input, finite), its ivar (0 = masked), the noise correlation of pixels p and p + 1 + lag
    (0 if either is masked), and the fraction of each pixel's weight that lay on good pixels.
    """
    count, pixels = len(flux), len(operator.origin)
    shapes = (count, pixels), (count, pixels), (count, lags, pixels), (count, pixels)
    outputs = tuple(np.zeros(shape, np.float32 if len(shape) == 3 else np.float64) for shape in shapes)

    def work(rows: slice) -> None:
        inputs = (flux[rows], ivar[rows], blur[rows])
        shared = (operator.edges, grid.bin_edges(grid.WAVE), _edge_table(), operator.origin, operator.weights)
        _resample_rows(*inputs, *shared, operator.shared, *(output[rows] for output in outputs))

    threads = threads or numba.config.NUMBA_NUM_THREADS
    limits = np.linspace(0, count, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [slice(a, b) for a, b in itertools.pairwise(limits)]))
    return outputs


@numba.njit(cache=True, nogil=True)
def _resample_rows(
    flux, ivar, blur, edges, wave_edges, table, origin, weights, shared, out, out_ivar, correlation, coverage
):
    """`resample` of some rows by one thread."""
    band = np.empty(weights.shape)
    low, high = np.zeros(len(origin), np.int64), np.full(len(origin), weights.shape[1])
    variance = np.empty(flux.shape[1])
    for row in range(len(flux)):
        for n in range(flux.shape[1]):
            variance[n] = 1.0 / ivar[row, n] if ivar[row, n] > 0.0 else 0.0
        if shared:
            band[:] = weights
        else:
            _fill_band(blur[row], edges, wave_edges, table, origin, band, low, high)
        _apply_band(flux[row], variance, band, origin, low, high, out[row], coverage[row])
        _covariance(variance, band, origin, low, high, coverage[row], out_ivar[row], correlation[row])
        for j in range(len(origin)):
            out_ivar[row, j] = 1.0 / out_ivar[row, j] if out_ivar[row, j] > 0.0 else 0.0


@numba.njit(cache=True, nogil=True)
def _apply_band(flux, variance, band, origin, low, high, out, coverage):
    """T f / T g and T g of one spectrum; normalises the rows of `band` and sets bad pixels to zero."""
    for j in range(len(out)):
        good, total = 0.0, 0.0
        high[j] = min(high[j], len(flux) - origin[j])
        for place in range(low[j], high[j]):
            m = origin[j] + place
            if variance[m] > 0.0:
                good += band[j, place]
                total += band[j, place] * flux[m]
            else:
                band[j, place] = 0.0
        coverage[j] = good
        if good > 0.0:
            out[j] = total / good
            for place in range(low[j], high[j]):
                band[j, place] /= good


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _covariance(variance, band, origin, low, high, coverage, out, correlation):
    """Diagonal of T V T' and the correlations next to it, for the pixels with enough coverage."""
    pixels, lags = len(out), len(correlation)
    weighted = np.empty(band.shape[1])
    for j in range(pixels):
        out[j] = 0.0
        if coverage[j] >= grid.COVERED:
            for place in range(low[j], high[j]):
                out[j] += band[j, place] ** 2 * variance[origin[j] + place]
    for j in range(pixels):
        if out[j] == 0.0:
            continue
        for place in range(low[j], high[j]):
            weighted[place] = band[j, place] * variance[origin[j] + place]
        for other in range(j + 1, min(j + 1 + lags, pixels)):
            if out[other] > 0.0:
                shift = origin[other] - origin[j]
                total = 0.0
                for place in range(max(low[j], low[other] + shift), min(high[j], high[other] + shift)):
                    total += weighted[place] * band[other, place - shift]
                correlation[other - j - 1, j] = total / np.sqrt(out[j] * out[other])
