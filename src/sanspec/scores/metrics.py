"""Figures of merit: redshift scores, distances of spectra, correlation, bootstrap errors. NaN is missing."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from sanspec.physics.constants import NORMAL_MAD
from sanspec.spectra.spectra import masked_mean

FAR = 0.05  # |dz| of an outlier (Pasquet et al. 2019; Doorenbos et al. 2024, section 4.2)
NEAR = 0.03  # the stricter limit, for a survey only 0.1 wide in z

# -------------------------------------------------------------------------------------------- redshifts


def delta_z(z: Float[np.ndarray, "*gal"], z_spec: Float[np.ndarray, "*gal"]) -> Float[np.ndarray, "*gal"]:
    """Normalised redshift difference (z - z_spec) / (1 + z_spec)."""
    return (np.asarray(z, dtype=np.float64) - z_spec) / (1.0 + np.asarray(z_spec, dtype=np.float64))


def bias(dz: Float[np.ndarray, " gal"]) -> float:
    """Mean of dz over the finite values; NaN if there is none."""
    return float(np.mean(finite(dz))) if len(finite(dz)) else float("nan")


def sigma_mad(dz: Float[np.ndarray, " gal"]) -> float:
    """1.4826 median(|dz - median(dz)|) over the finite values (Doorenbos et al. 2024, section 4.2).

    The outer median is missing from the paper's formula, though not from its numbers.
    """
    values = finite(dz)
    return float(NORMAL_MAD * np.median(np.abs(values - np.median(values)))) if len(values) else float("nan")


def outliers(dz: Float[np.ndarray, " gal"], limit: float = FAR) -> float:
    """Fraction of the finite values with |dz| > limit."""
    values = finite(dz)
    return float(np.mean(np.abs(values) > limit)) if len(values) else float("nan")


def redshift_scores(
    z: Float[np.ndarray, " gal"], z_spec: Float[np.ndarray, " gal"], draws: int = 0, seed: int = 0
) -> dict:
    """Bias, sigma_MAD, outlier fractions of measured redshifts; `count` with a redshift, `missing` without.

    With `draws`, `sigma_mad_error` holds the bootstrap error of sigma_MAD.
    """
    dz = delta_z(z, z_spec)
    scores = {
        "count": len(finite(dz)),
        "missing": int(np.sum(~np.isfinite(dz))),
        "bias": bias(dz),
        "sigma_mad": sigma_mad(dz),
        "outliers_005": outliers(dz, FAR),
        "outliers_003": outliers(dz, NEAR),
    }
    if draws:
        scores["sigma_mad_error"] = bootstrap(sigma_mad, finite(dz), draws=draws, seed=seed)
    return scores


# -------------------------------------------------------------------------------------------- spectra


def delta_bar(
    observed: Float[np.ndarray, "gal pix"],
    predicted: Float[np.ndarray, "gal pix"],
    mask: Bool[np.ndarray, "gal pix"],
) -> Float[np.ndarray, " gal"]:
    """Mean fractional difference (1/N) sum |O - F| / O over the used pixels (Doorenbos et al. 2024, eq. 9).

    A fraction (the paper prints per cent). Pixels with O <= 0 or NaN in either are left out; NaN if none is
    left.
    """
    use = mask & (observed > 0)
    return masked_mean(np.abs(observed - predicted) / np.where(use, observed, 1.0), use)


def mse(
    observed: Float[np.ndarray, "gal pix"],
    predicted: Float[np.ndarray, "gal pix"],
    mask: Bool[np.ndarray, "gal pix"],
) -> Float[np.ndarray, " gal"]:
    """Mean squared difference over the used pixels, in the square of the spectra's unit."""
    return masked_mean((observed - predicted) ** 2, mask)


def mse_log(
    observed: Float[np.ndarray, "gal pix"],
    predicted: Float[np.ndarray, "gal pix"],
    mask: Bool[np.ndarray, "gal pix"],
    floor: float,
) -> Float[np.ndarray, " gal"]:
    """Mean squared difference of the natural logs; pixels with O <= floor are left out, F is raised to it."""
    use = mask & (observed > floor)
    logs = np.log(np.where(use, observed, 1.0)) - np.log(np.fmax(predicted, floor))
    return masked_mean(np.where(np.isfinite(predicted), logs, np.nan) ** 2, use)


def chi2_per_pixel(
    observed: Float[np.ndarray, "gal pix"],
    predicted: Float[np.ndarray, "gal pix"],
    ivar: Float[np.ndarray, "gal pix"],
) -> Float[np.ndarray, " gal"]:
    """Mean of (O - F)^2 ivar over the pixels with ivar > 0 (Doorenbos et al. 2024, section 4.1: chi2 / N)."""
    return masked_mean((observed - predicted) ** 2 * ivar, ivar > 0)


# -------------------------------------------------------------------------------------------- statistics


def correlation(x: Float[np.ndarray, " gal"], y: Float[np.ndarray, " gal"]) -> dict:
    """Pearson and Spearman coefficients and count of the pairs finite in both; NaN below three pairs."""
    use = np.isfinite(x) & np.isfinite(y)
    x, y = np.asarray(x)[use], np.asarray(y)[use]
    return {
        "count": len(x),
        "pearson": pearson(x, y),
        "spearman": pearson(stats.rankdata(x), stats.rankdata(y)),
    }


def pearson(x: Float[np.ndarray, " gal"], y: Float[np.ndarray, " gal"]) -> float:
    """Pearson's coefficient of finite pairs; NaN below three of them or where either does not vary."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def median_slope(x: Float[np.ndarray, " gal"], y: Float[np.ndarray, " gal"]) -> float:
    """Slope of y on x, the median over all pairs of objects (Theil 1950, Sen 1968); NaN below three."""
    use = np.isfinite(x) & np.isfinite(y)
    if use.sum() < 3 or np.ptp(x[use]) == 0:
        return float("nan")
    return float(stats.theilslopes(y[use], x[use])[0])


def ks_distance(x: Float[np.ndarray, " one"], y: Float[np.ndarray, " two"]) -> dict:
    """Two-sample Kolmogorov-Smirnov distance and p-value of the finite values; NaN if a sample is empty."""
    x, y = finite(x), finite(y)
    if not (len(x) and len(y)):
        return {"distance": float("nan"), "p": float("nan")}
    result = stats.ks_2samp(x, y)
    return {"distance": float(result.statistic), "p": float(result.pvalue)}


def quantiles(values: Float[np.ndarray, " gal"]) -> dict:
    """Count, median and 90th percentile of the finite values."""
    values = finite(values)
    middle, high = np.quantile(values, [0.5, 0.9]) if len(values) else (np.nan, np.nan)
    return {"count": len(values), "median": float(middle), "p90": float(high)}


def ratio_of_means(numerator: Float[np.ndarray, " gal"], denominator: Float[np.ndarray, " gal"]) -> float:
    """Mean of `numerator` over mean of `denominator`."""
    return float(np.mean(numerator) / np.mean(denominator))


def bootstrap(
    statistic: Callable[..., float], *samples: Float[np.ndarray, " gal"], draws: int = 1000, seed: int = 0
) -> float:
    """Standard deviation of `statistic(*samples)` over resampled objects (Efron 1979); NaN below two objects."""
    values = resampled(statistic, *samples, draws=draws, seed=seed)
    return float(np.std(values, ddof=1)) if len(values) else float("nan")


def interval(
    statistic: Callable[..., float], *samples: Float[np.ndarray, " gal"], draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Limits that hold 95 per cent of `statistic(*samples)` over resampled objects; NaN below two objects."""
    values = finite(resampled(statistic, *samples, draws=draws, seed=seed))
    return tuple(map(float, np.quantile(values, [0.025, 0.975]))) if len(values) else (float("nan"),) * 2


def resampled(
    statistic: Callable[..., float], *samples: Float[np.ndarray, " gal"], draws: int, seed: int
) -> Float[np.ndarray, " draw"]:
    """`statistic(*samples)` of resampled objects, the same in all samples; none below two objects.

    Objects not finite in every sample are left out.
    """
    use = np.all([np.isfinite(sample) for sample in samples], axis=0)
    pairs = [np.asarray(sample)[use] for sample in samples]
    count = len(pairs[0])
    if count < 2:
        return np.array([])
    rng = np.random.default_rng(seed)
    picks = (rng.integers(0, count, count) for _ in range(draws))
    return np.array([statistic(*(sample[pick] for sample in pairs)) for pick in picks])


def finite(values: Float[np.ndarray, " gal"]) -> Float[np.ndarray, " some"]:
    """The finite values alone, float64."""
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values)]
