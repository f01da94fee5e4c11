"""Compiled loops of `lick` over spectra, indices and pixels: degraded spectra, values and errors of indices."""

import numba
import numpy as np

TAIL = 4.5  # reach of the kernel in standard deviations: 7e-6 of its weight lies beyond


@numba.njit(cache=True, nogil=True)
def index_rows(
    flux, good, deviation, correlation, sigma, wave, edges, windows, kinds, spans, min_good, value, error
):
    """`lick.lick_indices` of every row, into `value` and `error`; spans: widths of the feature windows at rest."""
    count, pixels = flux.shape
    smoothed, covered = np.empty(pixels), np.empty(pixels, np.bool_)
    weights, slope = np.empty((3, pixels)), np.empty(pixels)
    reach = int(np.ceil(TAIL * max(sigma.max(), 1e-9) / np.diff(edges).min())) + 1
    band = np.zeros((pixels, 2 * reach + 1))
    for row in range(count):
        low, high = windows[row].min(), windows[row].max()
        first = max(np.searchsorted(edges, low) - 1, 0)
        last = min(np.searchsorted(edges, high) + 1, pixels)
        smooth(flux[row], good[row], sigma[row], wave, edges, reach, first, last, band, smoothed, covered)
        for k in range(len(kinds)):
            three = windows[row, k]
            if three.min() < edges[0] or three.max() > edges[-1]:
                continue
            start = max(np.searchsorted(edges, three.min()) - 1, 0)
            stop = min(np.searchsorted(edges, three.max()) + 1, pixels)
            least = 1.0
            for j in range(3):
                total = _mean(edges, good[row], three[j], start, stop, weights[j])
                least = min(least, total / (three[j, 1] - three[j, 0]))
            if least < min_good:
                continue
            for j in range(3):
                _mean(edges, covered, three[j], start, stop, weights[j])
            value[row, k] = _index(kinds[k], spans[k], smoothed, wave, three, weights, start, stop, slope)
            error[row, k] = _propagate(slope, start, stop, band, reach, deviation[row], correlation[row])


@numba.njit(cache=True, nogil=True)
def smooth(flux, good, sigma, wave, edges, reach, first, last, band, smoothed, covered):
    """Pixels [first, last) degraded by a Gaussian over the good pixels; `band` gets its normalised weights.

    A pixel counts as covered where at least half of its kernel lies on good pixels of the grid.
    """
    pixels = len(flux)
    for p in range(first, last):
        total, wanted, result = 0.0, 0.0, 0.0
        narrow = sigma[p] < 0.2 * (edges[p + 1] - edges[p])
        for tap in range(2 * reach + 1):
            q = p + tap - reach
            band[p, tap] = 0.0
            if narrow and q != p:
                continue
            at = min(max(q, 0), pixels - 1)
            width = edges[at + 1] - edges[at]
            offset = 0.0 if narrow else (wave[at] + (q - at) * width - wave[p]) / sigma[p]
            if abs(offset) > TAIL:
                continue
            weight = width * np.exp(-0.5 * offset * offset)
            wanted += weight
            if q == at and good[q]:
                band[p, tap] = weight
                total += weight
                result += weight * flux[q]
        covered[p] = total > 0.0 and total >= 0.5 * wanted
        smoothed[p] = result / total if total > 0.0 else 0.0
        if total > 0.0:
            band[p] /= total


@numba.njit(cache=True, nogil=True)
def _mean(edges, use, window, start, stop, weights):
    """Weights of the mean over the used pixels of a window, by the part of each that lies inside; their total width."""
    total = 0.0
    for p in range(start, stop):
        overlap = max(min(edges[p + 1], window[1]) - max(edges[p], window[0]), 0.0)
        weights[p] = overlap if use[p] else 0.0
        total += weights[p]
    for p in range(start, stop):
        weights[p] = weights[p] / total if total > 0.0 else 0.0
    return total


@numba.njit(cache=True, nogil=True)
def _index(kind, span, flux, wave, three, weights, start, stop, slope):
    """The index of one spectrum and, in `slope`, its derivative with respect to every pixel; NaN where undefined."""
    blue_w, red_w, feature_w = weights[0], weights[1], weights[2]
    power = 2.0 if kind == 0 else 0.0  # F_nu is F_lambda times lambda squared
    blue, red, seen = 0.0, 0.0, 0.0
    for p in range(start, stop):
        scale = wave[p] ** power
        blue += blue_w[p] * scale * flux[p]
        red += red_w[p] * scale * flux[p]
        seen += feature_w[p]
    if not (blue > 0.0 and red > 0.0 and seen > 0.0):
        return np.nan
    if kind == 0:
        for p in range(start, stop):
            slope[p] = (red_w[p] - red / blue * blue_w[p]) * wave[p] ** 2 / blue
        return red / blue
    return _width(kind, span, flux, wave, three, weights, blue, red, start, stop, slope)


@numba.njit(cache=True, nogil=True)
def _width(kind, span, flux, wave, three, weights, blue, red, start, stop, slope):
    """Equivalent width or magnitude below the line through the means of the sidebands, and its derivative."""
    blue_w, red_w, feature_w = weights[0], weights[1], weights[2]
    middle_b, middle_r = 0.5 * (three[0, 0] + three[0, 1]), 0.5 * (three[1, 0] + three[1, 1])
    mean, by_blue, by_red = 0.0, 0.0, 0.0
    for p in range(start, stop):
        part = (wave[p] - middle_b) / (middle_r - middle_b)
        level = blue + part * (red - blue)
        ratio = feature_w[p] * flux[p] / level
        mean += ratio
        by_blue -= ratio * (1.0 - part) / level
        by_red -= ratio * part / level
    if kind == 2 and mean <= 0.0:
        return np.nan
    outer = -span if kind == 1 else -2.5 / np.log(10.0) / mean
    for p in range(start, stop):
        level = blue + (wave[p] - middle_b) / (middle_r - middle_b) * (red - blue)
        slope[p] = outer * (feature_w[p] / level + by_blue * blue_w[p] + by_red * red_w[p])
    return outer * (mean - 1.0) if kind == 1 else -2.5 * np.log10(mean)


@numba.njit(cache=True, nogil=True)
def _propagate(slope, start, stop, band, reach, deviation, correlation):
    """1-sigma error: the slope propagated through the kernel, then through the noise covariance."""
    pixels = len(deviation)
    low, high = max(start - reach, 0), min(stop + reach, pixels)
    scaled = np.zeros(high - low)
    for p in range(start, stop):
        for tap in range(2 * reach + 1):
            if band[p, tap] > 0.0:
                scaled[p + tap - reach - low] += slope[p] * band[p, tap]
    total = 0.0
    for i in range(high - low):
        scaled[i] *= deviation[low + i]
    for i in range(high - low):
        total += scaled[i] * scaled[i]
        for lag in range(min(len(correlation), high - low - 1 - i)):
            total += 2.0 * scaled[i] * scaled[i + lag + 1] * correlation[lag, low + i]
    return np.sqrt(max(total, 0.0))
