"""How good draws are as a predictive distribution. No score chooses among draws by comparison with the truth."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import median_filter, uniform_filter1d

from sanspec.physics.lines import EMISSION_LINES
from sanspec.spectra.spectra import masked_mean

BLOCK = 64  # galaxies at a time
H_ALPHA = EMISSION_LINES["h_alpha"].wave  # vacuum Angstrom
CONTINUUM, WINDOW = 300.0, 50.0  # widths [Angstrom] of the median filter and of what counts as the line


def scores(
    draws: Float[np.ndarray, "gal draw pix"],
    truth: Float[np.ndarray, "gal pix"],
    mask: Bool[np.ndarray, "gal pix"],
) -> dict[str, Float[np.ndarray, " gal"]]:
    """Scores of each galaxy, means over its unmasked pixels; NaN where it has none.

    mse_single: of one draw, averaged over the draws; mse_mean: of the mean of the draws; variance: between draws;
    crps: `crps`; coverage: of the central 68 % interval; power, power_truth: mean square difference of neighbouring
    pixels, of draws and of the truth. draws, truth: any one unit.
    """
    parts = []
    for start in range(0, len(truth), BLOCK):
        block = slice(start, start + BLOCK)
        parts.append(_scores(draws[block].astype(np.float64), truth[block], mask[block]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _scores(draws: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """The same of a few galaxies."""
    truth = np.where(mask, truth, 0.0).astype(np.float64)
    pairs = mask[:, 1:] & mask[:, :-1]
    # Weibull's quantiles hold a further draw 68 times in 100 whatever the number of draws; interpolation between the
    # draws makes this 70 for ten draws of a normal distribution.
    low, high = np.quantile(draws, (0.16, 0.84), axis=1, method="weibull")
    several = draws.shape[1] > 1
    return {
        "mse_single": masked_mean((draws - truth[:, None]) ** 2, mask[:, None]).mean(axis=1),
        "mse_mean": masked_mean((draws.mean(axis=1) - truth) ** 2, mask),
        "variance": masked_mean(draws.var(axis=1, ddof=1), mask) if several else np.zeros(len(truth)),
        "crps": masked_mean(crps(draws, truth), mask),
        "coverage": masked_mean((truth >= low) & (truth <= high), mask),
        "power": masked_mean(np.diff(draws, axis=-1) ** 2, pairs[:, None]).mean(axis=1),
        "power_truth": masked_mean(np.diff(truth, axis=-1) ** 2, pairs),
    }


def crps(
    draws: Float[np.ndarray, "gal draw pix"], truth: Float[np.ndarray, "gal pix"]
) -> Float[np.ndarray, "gal pix"]:
    """Continuous ranked probability score, E|X - y| - E|X - X'| / 2 (Gneiting & Raftery 2007, eq. 21).

    X and X' are two different draws, so that the score does not depend on their number (Ferro 2014, the fair score).
    With one draw it is the absolute error.
    """
    count = draws.shape[1]
    error = np.abs(draws - truth[:, None]).mean(axis=1)
    if count == 1:
        return error
    weight = (2 * np.arange(count) - count + 1)[:, None]
    return error - (np.sort(draws, axis=1) * weight).sum(axis=1) / (count * (count - 1))


def summary(found: dict[str, Float[np.ndarray, " gal"]], draws: int) -> dict[str, float]:
    """Means over galaxies of `scores` of so many draws, and two ratios.

    spread_skill: predicted over actual error of the mean of the draws, 1 where they agree (Fortin et al. 2014, eq.
    15); hf_power: power of draws over that of the truth at the scale of a pixel.
    """
    means = {name: float(np.nanmean(values)) for name, values in found.items()}
    kept = {name: means[name] for name in ("mse_single", "mse_mean", "crps", "coverage")}
    ratio = (draws + 1) / draws * means["variance"] / means["mse_mean"]
    return kept | {
        "spread_skill": float(np.sqrt(ratio)),
        "hf_power": means["power"] / means["power_truth"],
    }


def mean_scores(
    draws: Float[np.ndarray, "gal draw pix"],
    truth: Float[np.ndarray, "gal pix"],
    mask: Bool[np.ndarray, "gal pix"],
) -> dict[str, float]:
    """`summary` of the `scores` of some draws."""
    return summary(scores(draws, truth, mask), draws.shape[1])


def spread_scale(found: dict[str, Float[np.ndarray, " gal"]], draws: int) -> float:
    """Factor on the distance of draws from their mean that brings spread/skill to 1: the simplest calibration.

    The mean of k draws has an error that includes var/k, which grows with the factor. The factor is that of the limit
    of many draws.
    """
    means = {name: float(np.nanmean(values)) for name, values in found.items()}
    skill = means["mse_mean"] - means["variance"] / draws
    return float(np.sqrt(max(skill, 0.0) / means["variance"]))


def inflated(draws: Float[np.ndarray, "gal draw pix"], scale: float) -> Float[np.ndarray, "gal draw pix"]:
    """Draws with their distance from their mean multiplied by `scale`."""
    middle = draws.mean(axis=1, keepdims=True)
    return middle + scale * (draws - middle)


def h_alpha_width(
    log_flux: Float[np.ndarray, "*gal pix"], wave: Float[np.ndarray, " pix"], z: tuple[float, float]
) -> Float[np.ndarray, "*gal"]:
    """Equivalent width of Halpha with [N II] [Angstrom, observed frame; emission positive].

    The strongest excess over a running median in a window of 50 A, at any redshift within the limits `z`. The
    measurement is blind to the true redshift, for observed and drawn spectra. log_flux: natural log; wave: evenly
    spaced.
    """
    pixel = wave[1] - wave[0]
    place = (wave >= H_ALPHA * (1 + z[0])) & (wave <= H_ALPHA * (1 + z[1]))
    near = np.flatnonzero(place)
    margin = int(CONTINUUM / pixel)
    cut = slice(max(near[0] - margin, 0), min(near[-1] + margin, len(wave)))
    flux = np.exp(np.asarray(log_flux, np.float64)[..., cut])
    size = (1,) * (flux.ndim - 1) + (2 * round(CONTINUUM / pixel / 2) + 1,)
    excess = flux / median_filter(flux, size=size, mode="nearest") - 1
    width = uniform_filter1d(excess, round(WINDOW / pixel), axis=-1) * WINDOW
    return np.where(place[cut], width, -np.inf).max(axis=-1)
