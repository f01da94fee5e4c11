"""Agreement of the populations of predicted spectra with those of the observed ones: differences and their scores.

Differences are observed minus predicted, as in Doorenbos et al. 2024, section 5.5; their scatter is half the range of
the central 68 %. Errors are those of both bootstraps in quadrature, and exist where both spectra have draws.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.errors import Warn
from sanspec.scores.metrics import finite, sigma_mad
from sanspec.scores.numbers import Number
from sanspec.stellar.results import pairs

QUANTITIES = ("log_age_light", "metal_light", "ebv_stars", "vdisp")
NEAR = dict(zip(QUANTITIES, ((0.1, 0.2), (0.1, 0.2), (0.05, 0.1), (20.0, 40.0))))  # limits on differences
DEGENERATE = ("metal_light", "log_age_light", "ebv_stars")  # the axes of figure 10
PAPER = {  # Doorenbos et al. 2024
    "metal_within_010_ppxf": "0.86 (section 5.4)",
    "metal_within_errors_ppxf": "0.95 (section 5.4)",
    "log_age_scatter_ppxf": "0.23 (section 5.4)",
    "ebv_scatter_ppxf": "0.13 (section 5.4)",
    "metal_within_010_firefly": "0.44 (section 5.4)",
    "metal_within_020_firefly": "0.70 (section 5.4)",
    "log_age_scatter_firefly": "0.33 (section 5.4)",
    "ebv_scatter_firefly": "0.08 (section 5.4)",
    "vdisp_mean_all_ppxf": "-1.4 (section 5.4)",
    "vdisp_std_all_ppxf": "40 (section 5.4)",
    "vdisp_std_elliptical_ppxf": "29 (section 5.4)",
    "vdisp_ratio_median_ppxf": "0.005 (section 5.4)",
    "vdisp_ratio_scatter_ppxf": "0.20 (section 5.4)",
}


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """One row per pair with both spectra fitted: columns of both, `d_<x>` and `error_<x>` of QUANTITIES."""
    joined = pairs(table)
    unfit = (joined["warn_observed"] | joined["warn_predicted"]) & int(Warn.NOT_FITTED)
    joined = joined[unfit == 0].reset_index(drop=True)
    new = {}
    for name in QUANTITIES:
        new[f"d_{name}"] = joined[f"{name}_observed"] - joined[f"{name}_predicted"]
        new[f"error_{name}"] = np.hypot(joined[f"{name}_std_observed"], joined[f"{name}_std_predicted"])
    return pd.concat([joined, pd.DataFrame(new, index=joined.index)], axis=1)


def scores(
    difference: Float[np.ndarray, " gal"], error: Float[np.ndarray, " gal"], near: tuple[float, ...]
) -> dict:
    """Mean, median and spread of differences d; fractions within each of `near`, and within their own errors.

    scatter: half the range of the central 68.27 %. sigma_mad: 1.4826 median |d - median|. median_abs: median |d|.
    """
    values = finite(difference)
    if not len(values):
        return {"count": 0}
    low, high = np.quantile(values, [0.15865, 0.84135])
    known = np.isfinite(difference) & np.isfinite(error)
    within = np.abs(difference[known]) <= error[known]
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "std": float(values.std(ddof=1)) if len(values) > 1 else np.nan,
        "scatter": float(0.5 * (high - low)),
        "sigma_mad": sigma_mad(values),
        "median_abs": float(np.median(np.abs(values))),
        **{f"within_{limit:g}": float(np.mean(np.abs(values) <= limit)) for limit in near},
        "with_errors": int(known.sum()),
        "median_error": float(np.median(error[known])) if known.any() else np.nan,
        "within_errors": float(within.mean()) if known.any() else np.nan,
    }


def summary(table: pd.DataFrame, morphology: pd.Series) -> dict:
    """Scores of every quantity for all pairs and for each class; for vdisp also those of the ratio.

    table: made by `differences`. morphology: class by specobjid.
    """
    kinds = morphology.reindex(table["specobjid"]).to_numpy()
    groups = {"all": np.ones(len(table), bool)} | {name: kinds == name for name in sorted(set(morphology))}
    found = {}
    for name in QUANTITIES:
        d, error = table[f"d_{name}"].to_numpy(float), table[f"error_{name}"].to_numpy(float)
        found[name] = {group: scores(d[use], error[use], NEAR[name]) for group, use in groups.items()}
    observed, predicted = (table[f"vdisp_{kind}"].to_numpy(float) for kind in ("observed", "predicted"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(observed > 0, predicted / observed - 1, np.nan)
    nothing = np.full(len(ratio), np.nan)
    found["vdisp_fraction"] = {g: scores(ratio[use], nothing[use], (0.1, 0.2)) for g, use in groups.items()}
    return found


def headline(
    found: Mapping[str, Mapping[str, Mapping]], code: str, label: str, kinds: Iterable[str]
) -> list[Number]:
    """The numbers of one code that the summary of a run shows; NaN where there are none.

    found: scores of `summary`; label: the code's name in text; kinds: classes whose dispersions are given one by one.
    """
    metal, age, ebv = (found[name]["all"] for name in DEGENERATE)
    ratio = found["vdisp_fraction"]["all"]
    within = "fraction of pairs of observed and predicted spectrum whose [M/H] agrees within"
    rows = [
        ("metal_within_010", metal, "within_0.1", f"{within} 0.10 dex", ""),
        ("metal_within_020", metal, "within_0.2", f"{within} 0.20 dex", ""),
        ("metal_within_errors", metal, "within_errors", f"{within} the bootstrap errors of both", ""),
        ("metal_error", metal, "median_error", "median of these errors, of both in quadrature", "dex"),
        ("metal_median", metal, "median", "median difference of [M/H]", "dex"),
        ("log_age_median", age, "median", "median difference of the light-weighted log age", "dex"),
        ("log_age_scatter", age, "scatter", "scatter of the difference of log age", "dex"),
        ("ebv_median", ebv, "median", "median difference of the stars' E(B-V)", "mag"),
        ("ebv_scatter", ebv, "scatter", "scatter of the difference of E(B-V)", "mag"),
    ]
    for group in ("all", *kinds):
        own, text = found["vdisp"].get(group, {}), f"difference of velocity dispersion, {group}"
        rows.append((f"vdisp_mean_{group}", own, "mean", f"mean {text}", "km/s"))
        rows.append((f"vdisp_std_{group}", own, "std", f"standard deviation of the {text}", "km/s"))
    text = "predicted over observed velocity dispersion, minus 1"
    rows.append(("vdisp_ratio_median", ratio, "median", f"median of {text}", ""))
    rows.append(("vdisp_ratio_scatter", ratio, "scatter", f"scatter of {text}", ""))
    return [
        Number(
            f"{name}_{code}", own.get(key, np.nan), f"{text} ({label})", unit, PAPER.get(f"{name}_{code}", "")
        )
        for name, own, key, text, unit in rows
    ]


def degeneracy(table: pd.DataFrame) -> dict:
    """Covariance and correlation of the differences in [M/H], log age and E(B-V), and their first principal axis.

    angle: of the axis in the plane of [M/H] (x) and log age (y), both in dex [deg from x].
    """
    columns = table[[f"d_{name}" for name in DEGENERATE]].to_numpy(float)
    columns = columns[np.isfinite(columns).all(axis=1)]
    if len(columns) < 3:
        return {"count": len(columns)}
    covariance = np.cov(columns.T)
    plane, axes = np.linalg.eigh(covariance[:2, :2])
    angle = np.degrees(np.arctan2(axes[1, -1], axes[0, -1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.corrcoef(columns.T)
    return {
        "count": len(columns),
        "order": list(DEGENERATE),
        "covariance": covariance,
        "correlation": correlation,
        "angle": float((angle + 90) % 180 - 90),
        "elongation": float(np.sqrt(plane[-1] / plane[0])) if plane[0] > 0 else np.nan,
    }
