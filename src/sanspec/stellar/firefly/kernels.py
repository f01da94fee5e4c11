"""The inner loops of FIREFLY's method, compiled: sigma clipping, running medians, minimum chi2 in bins."""

import numba
import numpy as np

CLIP_SIGMA = 3.0  # of every sigma clip (Wilkinson et al. 2017)
SMOOTHING = 200.0  # half width of the running median over the attenuation [Angstrom], as in the released code


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _moments(values, floor, ceiling):
    """Count, sum and sum of squares of the values between two limits, both inclusive."""
    count, total, squares = 0.0, 0.0, 0.0
    for value in values:
        inside = 1.0 if (value >= floor) & (value <= ceiling) else 0.0
        count += inside
        total += inside * value
        squares += inside * value * value
    return count, total, squares


@numba.njit(cache=True, nogil=True)
def clip_bounds(values, n_sigma):
    """Iterative sigma clip of one row: last lower and upper limit, and the sum of squares of the values kept.

    As `scipy.stats.sigmaclip`: limits are inclusive, and a value once dropped stays dropped. All values are finite.
    """
    low, high, floor, ceiling, before = -np.inf, np.inf, -np.inf, np.inf, -1.0
    count, total, squares = _moments(values, floor, ceiling)
    while 0.0 < count != before:
        mean = total / count
        width = n_sigma * np.sqrt(max(squares / count - mean * mean, 0.0))
        low, high = mean - width, mean + width
        floor, ceiling, before = max(floor, low), min(ceiling, high), count
        count, total, squares = _moments(values, floor, ceiling)
    return low, high, squares


@numba.njit(cache=True, nogil=True)
def clipped_squares(rows, n_sigma):
    """Lower and upper limit (row) of each row's own sigma clip, and the sum of squares (row) after it."""
    count = len(rows)
    low, high, squares = np.empty(count), np.empty(count), np.empty(count)
    for i in range(count):
        low[i], high[i], squares[i] = clip_bounds(rows[i], n_sigma)
    return low, high, squares


@numba.njit(cache=True, nogil=True)
def clipped_mixes(first, second, fractions, n_sigma):
    """Sum of squares of (a + q b) / (1 + q) after its own clip, for each pair of rows a, b and each fraction q.

    first (top, pix), second (fit, pix): residuals in units of their error. Returns (top, fit, fraction).
    """
    result = np.empty((len(first), len(second), len(fractions)))
    mixed = np.empty(first.shape[1])
    for i in range(len(first)):
        for j in range(len(second)):
            for k in range(len(fractions)):
                q = fractions[k]
                for p in range(len(mixed)):
                    mixed[p] = (first[i, p] + q * second[j, p]) / (1.0 + q)
                result[i, j, k] = clip_bounds(mixed, n_sigma)[2]
    return result


@numba.njit(cache=True, nogil=True)
def running_median(wave, values, half_width):
    """Median of the values closer than `half_width` in `wave` (ascending), at each pixel."""
    count = len(values)
    window = np.empty(count)
    result = np.empty(count)
    size, start, stop = 0, 0, 0
    for i in range(count):
        while stop < count and wave[stop] < wave[i] + half_width:
            place = np.searchsorted(window[:size], values[stop])
            for j in range(size, place, -1):
                window[j] = window[j - 1]
            window[place] = values[stop]
            size += 1
            stop += 1
        while wave[start] <= wave[i] - half_width:
            place = np.searchsorted(window[:size], values[start])
            size -= 1
            for j in range(place, size):
                window[j] = window[j + 1]
            start += 1
        middle = size // 2
        result[i] = window[middle] if size % 2 else 0.5 * (window[middle - 1] + window[middle])
    return result


@numba.njit(cache=True, nogil=True)
def mix_range(top, fits, fractions):
    """Minimum and maximum of numerator / denominator over all fits and all mixes.

    top (2, top), fits (2, fit): numerator and denominator of a property, both linear in the weights.
    """
    low, high = np.inf, -np.inf
    for j in range(fits.shape[1]):
        value = fits[0, j] / fits[1, j]
        low, high = min(low, value), max(high, value)
        for i in range(top.shape[1]):
            for q in fractions:
                value = (top[0, i] + q * fits[0, j]) / (top[1, i] + q * fits[1, j])
                low, high = min(low, value), max(high, value)
    return low, high


@numba.njit(cache=True, nogil=True)
def mix_profile(top, fits, fractions, chi2, mixed, edges):
    """Minimum chi2 among the fits and mixes whose property lies in each bin; inf where there is none.

    top (2, top), fits (2, fit): as in `mix_range`; chi2 (fit); mixed (top, fit, fraction); edges: evenly spaced.
    """
    best = np.full(len(edges) - 1, np.inf)
    for j in range(fits.shape[1]):
        _keep_minimum(best, edges, fits[0, j] / fits[1, j], chi2[j])
        for i in range(top.shape[1]):
            for k in range(len(fractions)):
                q = fractions[k]
                value = (top[0, i] + q * fits[0, j]) / (top[1, i] + q * fits[1, j])
                _keep_minimum(best, edges, value, mixed[i, j, k])
    return best


@numba.njit(cache=True, nogil=True)
def _keep_minimum(best, edges, value, chi2):
    """Enter one solution in its bin where its chi2 is the minimum so far."""
    bins = len(best)
    place = int((value - edges[0]) / (edges[1] - edges[0]))
    place = min(max(place, 0), bins - 1)
    while place > 0 and value <= edges[place]:
        place -= 1
    while place < bins - 1 and value > edges[place + 1]:
        place += 1
    if edges[place] < value <= edges[place + 1] and chi2 < best[place]:
        best[place] = chi2
