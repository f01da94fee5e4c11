"""FIREFLY's method step by step, one population and one pixel at a time: an oracle for the compat mode.

Wilkinson et al. 2015, 2017, in the order of the released code's steps, with nothing shared between populations, fits or
bins. Slow on purpose; `benchmarks/firefly.py` times it against `sanspec.stellar.firefly.compat` and checks that both
give the same numbers.
"""

import numpy as np
from astropy import cosmology
from scipy.stats import chi2 as chi2_distribution
from scipy.stats import sigmaclip

from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA, LSUN
from sanspec.physics.dust import calzetti
from sanspec.stellar.firefly.compat import FWHM, METALS
from sanspec.stellar.firefly.match import LINES
from sanspec.stellar.library import Library

MIXED = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def fit(wave, flux, error, z, vdisp, library: Library, line_mask: float) -> dict[str, float]:
    """Quantities of one spectrum by name, as the records have them, and the number of solutions."""
    rest, flux, error = good_pixels(wave / (1 + z), flux, error, line_mask)
    lam = air_to_vac(library.lam)
    models, ages, metals = [], [], []
    for j in range(len(library.age)):
        if library.age[j] <= cosmology.Planck15.age(z).value:
            models.append(downgrade(lam, library.flux[:, j] * LSUN, vdisp))
            ages.append(library.age[j])
            metals.append(10 ** METALS.get(float(library.metal[j]), float(library.metal[j])))
    rest, flux, error, models = match(rest, flux, error, lam, models)
    normed, _ = normalise(flux, models)
    ebv, attenuation, filtered = determine_attenuation(rest, flux, error, normed)
    attenuated = [model * attenuation for model in models]
    normed, mass_factors = normalise(flux, attenuated)
    fits = fitter(flux, error, normed)
    return averages(fits, ages, metals, mass_factors, z, len(rest)) | {
        "ebv": ebv,
        "solutions": len(fits),
        "solutions_filtered": filtered,
    }


# ----------------------------------------------------------------------------------------------- data, models


def good_pixels(rest, flux, error, line_mask):
    """Pixels with signal and away from lines."""
    kept = []
    for i in range(len(rest)):
        near = any(abs(rest[i] - line) < line_mask for line in LINES)
        if np.isfinite(flux[i]) and flux[i] > 0 and np.isfinite(error[i]) and not near:
            kept.append(i)
    return rest[kept], flux[kept], error[kept]


def downgrade(lam, model, vdisp):
    """One model smoothed to R = 2000 and a velocity dispersion by a Gaussian that varies along it."""
    target = np.sqrt(vdisp**2 + (C_KMS / 2000 / FWHM_PER_SIGMA) ** 2)
    own = C_KMS * FWHM / lam / FWHM_PER_SIGMA
    sigma = np.sqrt(np.clip(target**2 - own**2, 0, None)) * lam / C_KMS / (lam[1] - lam[0])
    places = np.flatnonzero(sigma > 0)
    width, values = sigma[places], model[places]
    reach, count = int(np.ceil(np.max(3 * width))), len(places)
    squares = np.linspace(-reach, reach, 2 * reach + 1) ** 2
    kernel = np.exp(-squares[:, None] / (2 * width**2))
    kernel /= kernel.sum(axis=0)
    shifted = np.zeros(kernel.shape)
    for i in range(2 * reach + 1):
        shifted[i, reach:-reach] = values[i : count - 2 * reach + i]
    result = model.copy()
    result[places] = (shifted * kernel).sum(axis=0)
    return result


def match(rest, flux, error, lam, models):
    """Data and models over their common range, each model averaged by trapezoids between the midpoints of
    pixels.
    """
    low, high = max(rest.min(), lam.min()), min(rest.max(), lam.max())
    inside, covered = (rest >= low) & (rest <= high), (lam >= low) & (lam <= high)
    rest, flux, error, lam = rest[inside], flux[inside], error[inside], lam[covered]
    bounds = 0.5 * (rest[1:] + rest[:-1]) + rest.min() * 1e-10
    matched = []
    for model in models:
        grid = np.concatenate([lam, bounds])
        values = np.concatenate([model[covered], np.interp(bounds, lam, model[covered])])
        order = np.argsort(grid)
        grid, values = grid[order], values[order]
        edges = np.searchsorted(grid, bounds)
        means = np.empty(len(bounds) - 1)
        for k in range(len(means)):
            part = slice(edges[k], edges[k + 1] + 1)
            means[k] = np.trapezoid(values[part], grid[part]) / (grid[edges[k + 1]] - grid[edges[k]])
        matched.append(means)
    return rest[1:-1], flux[1:-1], error[1:-1], matched


def normalise(flux, models):
    """Models with the median of the data, and what they were multiplied with."""
    factors = [np.median(flux) / np.median(model) for model in models]
    return [model * factor for model, factor in zip(models, factors)], np.array(factors)


# ------------------------------------------------------------------------------------------------------- dust


def high_pass(spectrum):
    """A spectrum without its slow modes."""
    count = len(spectrum)
    window = np.zeros(count)
    window[0] = 1
    for i in range(20):
        window[20 + i] = (i + 1) / 20
        window[count - 1 - (40 - i)] = (20 - i) / 20
    window[40 : count - 40] = 1
    rest = 1 - window
    rest[0] = 1
    modes = np.fft.fft(spectrum)
    fast, slow = np.real(np.fft.ifft(modes * window)), np.real(np.fft.ifft(modes * rest))
    return (1 + (fast - np.median(fast)) / slow) * np.median(fast)


def determine_attenuation(rest, flux, error, models):
    """E(B-V), the smoothed attenuation, and the number of solutions of the filtered fit."""
    fast, filtered = high_pass(flux), [high_pass(model) for model in models]
    filtered, _ = normalise(fast, filtered)
    constant = np.full(len(flux), np.median(error) / np.median(flux) * np.median(fast))
    fits = fitter(fast, constant, filtered)
    best = min(fits, key=lambda one: one.chi2)
    best_model, best_filtered = best.weights @ np.array(models), best.weights @ np.array(filtered)
    with np.errstate(divide="ignore", invalid="ignore"):
        fine = flux / best_model - fast / best_filtered + 1
    fine[~np.isfinite(fine)] = 1
    fine /= np.median(fine)
    smooth = np.empty(len(rest))
    for i in range(len(rest)):
        smooth[i] = np.median(fine[(rest < rest[i] + 200) & (rest > rest[i] - 200)])
    apart, tried = [], 1.5 * np.arange(200) / 199
    for ebv in tried:
        law = 10 ** (-0.4 * ebv * calzetti(rest))
        clipped = sigmaclip((smooth - law / np.median(law)) ** 2, 3.0, 3.0)[0]
        apart.append(np.sum(clipped**2))
    return float(tried[np.argmin(apart)]), smooth, len(fits)


# --------------------------------------------------------------------------------------------------- the tree


class Fit:
    """One combination: its weights, the iteration of its birth, its chi2."""

    def __init__(self, weights, born, residuals, clip):
        self.weights, self.born = weights, born
        used = np.flatnonzero(weights)
        residual = weights[used] @ residuals[used]
        if born == 0:
            kept, low, high = sigmaclip(residual, 3.0, 3.0)
            clip[:] = (residual > low) & (residual < high)
            self.clip = clip.copy()
            self.chi2 = np.sum(kept**2)
        else:
            self.chi2 = np.sum(residual[clip] ** 2)


def fitter(data, error, models):
    """Every combination that was kept or mixed."""
    residuals = np.array([(model - data) / error for model in models])
    clip = np.ones(len(data), bool)
    fits = [Fit(row, 0, residuals, clip) for row in np.eye(len(models))]
    clip[:] = min(fits, key=lambda one: one.chi2).clip
    for iteration in range(1, 11):
        threshold = min(one.chi2 for one in fits) - np.log(len(data))
        kept = []
        for parent in fits:
            for j in range(len(models)):
                weights = parent.weights * iteration
                weights[j] += 1
                child = Fit(weights / (iteration + 1), iteration, residuals, clip)
                if child.chi2 < threshold:
                    kept.append(child)
        if not kept:
            break
        fits = fits + kept
    best = [fits[i] for i in np.argsort([one.chi2 for one in fits], kind="stable")[:10]]
    mixes = []
    for first in best:
        for second in fits:
            for q in MIXED:
                weights = (first.weights + q * second.weights) / (1 + q)
                mixes.append(Fit(weights, first.born + second.born, residuals, clip))
    return fits + mixes


# --------------------------------------------------------------------------------------------------- averages


def averages(fits, ages, metals, mass_factors, z, dof):
    """The mode of each property's profile."""
    chi2 = np.array([one.chi2 for one in fits])
    chances = 1 - chi2_distribution.cdf(chi2 / chi2.min() * dof, dof)
    chances /= chances.sum()
    light = np.array([one.weights for one in fits])
    mass = np.array([weights * mass_factors for weights in light])
    shares = np.array([row / row.sum() for row in mass])
    distance = cosmology.Planck15.luminosity_distance(z).to_value("cm")
    return {
        "age_light": mode(chances, light @ np.array(ages)),
        "metal_light": mode(chances, light @ np.array(metals)),
        "age_mass": mode(chances, shares @ np.array(ages)),
        "metal_mass": mode(chances, shares @ np.array(metals)),
        "mass_formed": mode(chances, mass.sum(axis=1) * 1e-17 * 4 * np.pi * distance**2),
    }


def mode(chances, values):
    """Middle of the bin, of 300, that holds the most likely solution."""
    low, high = values.min(), values.max()
    if np.round(high, 2) == np.round(low, 2) or np.round(high, 2) - np.round(low, 2) <= abs(high / 100 * 3):
        return values[-1]
    edges = np.arange(low, high * 1.001, (high - low) / 300) + (high - low) * 1e-6
    best = np.zeros(len(edges) - 1)
    for k in range(len(best)):
        inside = (values <= edges[k + 1]) & (values > edges[k])
        if inside.any():
            best[k] = chances[inside].max()
    place = np.argsort(best)[-1]
    return 0.5 * (edges[place] + edges[place + 1])
