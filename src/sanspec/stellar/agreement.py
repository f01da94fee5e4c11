"""How well populations of predicted spectra agree with those of the observed ones: differences and their scores.

Differences are observed minus predicted, as Doorenbos et al. 2024, section 5.5. Errors are the bootstrap's,
of both members in quadrature, and exist where both have draws.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.errors import Warn
from sanspec.scores.metrics import NORMAL_MAD, finite
from sanspec.stellar.results import pairs

QUANTITIES = ("log_age_light", "metal_light", "ebv_stars", "vdisp")
NEAR = {
    "log_age_light": (0.1, 0.2),
    "metal_light": (0.1, 0.2),
    "ebv_stars": (0.05, 0.1),
    "vdisp": (20.0, 40.0),
}
DEGENERATE = ("metal_light", "log_age_light", "ebv_stars")  # the axes of figure 10


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """One row per pair both of whose members were fitted: columns of both, `d_<x>` and `error_<x>` of QUANTITIES."""
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
    """Mean, median, spread of differences; fractions within each of `near`, and within their own errors.

    scatter: half the range of the central 68.27 %; sigma_mad: 1.4826 median |d - median|; median_abs: median
    |d|.
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
        "sigma_mad": float(NORMAL_MAD * np.median(np.abs(values - np.median(values)))),
        "median_abs": float(np.median(np.abs(values))),
        **{f"within_{limit:g}": float(np.mean(np.abs(values) <= limit)) for limit in near},
        "with_errors": int(known.sum()),
        "median_error": float(np.median(error[known])) if known.any() else np.nan,
        "within_errors": float(within.mean()) if known.any() else np.nan,
    }


def summary(table: pd.DataFrame, morphology: pd.Series) -> dict:
    """Scores of every quantity for all pairs and for each class; for vdisp also those of the ratio.

    table: as `differences` gives it; morphology: class by specobjid.
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


def headline(found: Mapping[str, Mapping[str, Mapping]], kinds: Iterable[str]) -> dict[str, float]:
    """The numbers of one code that stand in the summary of a run, by name; NaN where there are none.

    found: scores of `summary`; kinds: classes whose dispersions are given one by one.
    """
    metal, age, ebv = (found[name]["all"] for name in DEGENERATE)
    ratio = found["vdisp_fraction"]["all"]
    wanted = {
        "metal_within_010": (metal, "within_0.1"),
        "metal_within_020": (metal, "within_0.2"),
        "metal_within_errors": (metal, "within_errors"),
        "metal_error": (metal, "median_error"),
        "metal_median": (metal, "median"),
        "log_age_median": (age, "median"),
        "log_age_scatter": (age, "scatter"),
        "ebv_median": (ebv, "median"),
        "ebv_scatter": (ebv, "scatter"),
        "vdisp_ratio_median": (ratio, "median"),
        "vdisp_ratio_scatter": (ratio, "scatter"),
    }
    for group in ("all", *kinds):
        own = found["vdisp"].get(group, {})
        wanted |= {f"vdisp_mean_{group}": (own, "mean"), f"vdisp_std_{group}": (own, "std")}
    return {name: scores.get(key, np.nan) for name, (scores, key) in wanted.items()}


def degeneracy(table: pd.DataFrame) -> dict:
    """Covariance and correlation of the differences in [M/H], log age and E(B-V), and their first principal axis.

    The angle is that of the axis in the plane of [M/H] (x) and log age (y) [deg, from x], of differences in
    dex.
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
