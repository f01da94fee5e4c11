"""Indices of observed and predicted spectra corrected for velocity dispersion, [MgFe]', and their agreement."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt64

from sanspec.config import Lick
from sanspec.errors import Warn
from sanspec.features import lick
from sanspec.features import vdisp_correction as correction
from sanspec.features.indices import Measured, missing
from sanspec.physics.constants import C_KMS, NORMAL_MAD
from sanspec.products import samples
from sanspec.scores import metrics
from sanspec.scores.numbers import Number
from sanspec.stellar.results import KINDS

SHOWN = {  # indices of figure 7, in its order
    "mgb": "Mg b",
    "fe5270": "Fe5270",
    "fe5335": "Fe5335",
    "mgfe": "[MgFe]'",
    "hbeta": "Hbeta",
    "dn4000": "Dn4000",
}
PAPER = {  # Pearson coefficients without spirals (Doorenbos et al. 2024)
    "mgfe": "0.71 (fig. 7)",
    "mgb": "0.60 (fig. 7)",
    "fe5270": "< 0.5 (section 5.3)",
    "fe5335": "0.2 (section 5.3)",
    "dn4000": "0.91 (fig. 7)",
}
CLASSES = ("all", "no_spirals", *samples.MORPHOLOGIES)
UNFITTED = int(Warn.NOT_FITTED | Warn.NO_REDSHIFT)  # no fit, or one at a redshift assumed


def fitted_rows(populations: pd.DataFrame, specobjid: UInt64[np.ndarray, " gal"], kind: str) -> pd.DataFrame:
    """Rows of a table of `stellar.results` for the given objects; NaN, `warn` too, where nothing was fitted.

    A spectrum whose own redshift is unknown counts as not fitted.
    """
    rows = populations[populations["kind"] == kind].set_index("specobjid").reindex(specobjid)
    return rows.where((rows["warn"].fillna(0).astype(np.uint32) & UNFITTED) == 0)


def velocity_dispersions(
    populations: pd.DataFrame, specobjid: UInt64[np.ndarray, " gal"], kind: str
) -> tuple[Float[np.ndarray, " gal"], Float[np.ndarray, " gal"]]:
    """Velocity dispersion [km/s] and its error of the given objects; NaN where it was not measured.

    The error is the bootstrap's where there is one, else the formal one.
    """
    rows = fitted_rows(populations, specobjid, kind)
    assumed = (rows["warn"].fillna(0).astype(np.uint32) & int(Warn.NO_VDISP)) > 0
    value = rows["vdisp"].where(~assumed).to_numpy(float)
    return value, rows["vdisp_std"].fillna(rows["vdisp_err"]).to_numpy(float)


def fit_redshifts(
    populations: pd.DataFrame, specobjid: UInt64[np.ndarray, " gal"], kind: str, z: Float[np.ndarray, " gal"]
) -> Float[np.ndarray, " gal"]:
    """Redshifts of fitted starlight: that of the fit combined with its velocity; NaN where nothing was fitted."""
    velocity = fitted_rows(populations, specobjid, kind)["v"].to_numpy(float)
    return (1 + z) * np.exp(velocity / C_KMS) - 1


def measured_indices(table: pd.DataFrame, hbeta: Mapping[str, Measured], kind: str) -> dict[str, Measured]:
    """Every index of one kind as measured; Hbeta from the fit where given, with the error from the spectrum."""
    found = {}
    for name in correction.CORRECTED:
        value = table[f"{name}_{kind}"].to_numpy(float)
        error = table.get(f"{name}_{kind}_err", pd.Series(np.nan, table.index)).to_numpy(float)
        found[name] = Measured(value, error, missing(value))
    if kind in hbeta:
        found["hbeta"] = replace(hbeta[kind], error=found["hbeta"].error)
    return found


def corrected(
    table: pd.DataFrame,
    populations: pd.DataFrame,
    coefficients: Mapping[str, correction.Correction],
    hbeta: Mapping[str, Measured],
    settings: Lick,
) -> pd.DataFrame:
    """`<index>_<kind>`, its error (observed), `<index>_warn` of SHOWN, and `vdisp_<kind>`, one row per object.

    table: of the stage `indices`. hbeta: measured on the stellar fits, by kind; empty: on the spectra.
    """
    result = pd.DataFrame({"specobjid": samples.ids(table)})
    warn = dict.fromkeys(SHOWN, np.zeros(len(table), np.uint32))
    for kind in KINDS:
        vdisp, vdisp_err = velocity_dispersions(populations, samples.ids(table), kind)
        result[f"vdisp_{kind}"] = vdisp
        found = measured_indices(table, hbeta, kind)
        for name, one in found.items() if settings.correct else ():
            done = correction.apply(coefficients[name], one.value, vdisp, one.error, vdisp_err)
            found[name] = replace(done, warn=done.warn | one.warn)
        found["mgfe"] = lick.mgfe(found)
        for name in SHOWN:
            result[f"{name}_{kind}"] = found[name].value
            if kind == "observed":
                result[f"{name}_{kind}_err"] = found[name].error
            warn[name] = warn[name] | found[name].warn
    return result.assign(**{f"{name}_warn": bits.astype(np.uint32) for name, bits in warn.items()})


# ---------------------------------------------------------------------------------------------- agreement


def agreement(table: pd.DataFrame, morphology: np.ndarray, draws: int) -> dict[str, dict[str, dict]]:
    """For every index and class of galaxies: `compare`."""
    use = {"all": np.ones(len(table), bool), "no_spirals": morphology != "spiral"}
    use |= {name: morphology == name for name in samples.MORPHOLOGIES}
    return {name: {key: compare(table[use[key]], name, draws) for key in CLASSES} for name in SHOWN}


def compare(table: pd.DataFrame, name: str, draws: int) -> dict:
    """Correlation of observed and predicted index, its bootstrap error and limits, slope, offset, scatter.

    slope: of predicted on observed, Theil-Sen estimator; noise_limit: the correlation that a perfect prediction would
    reach, given the errors of the observed values; without_value: galaxies without an observed or a predicted value;
    uncorrected: those with a value that is not corrected for velocity dispersion, or by extrapolation.
    """
    observed, predicted = (table[f"{name}_{kind}"].to_numpy(float) for kind in KINDS)
    error = table[f"{name}_observed_err"].to_numpy(float)
    difference = metrics.finite(predicted - observed)
    return metrics.correlation(observed, predicted) | {
        "pearson_error": metrics.bootstrap(metrics.pearson, observed, predicted, draws=draws),
        "pearson_95": metrics.interval(metrics.pearson, observed, predicted, draws=draws),
        "slope": metrics.median_slope(observed, predicted),
        "median_difference": float(np.median(difference)) if len(difference) else float("nan"),
        "sigma_mad": metrics.sigma_mad(difference),
        "mad": metrics.sigma_mad(difference) / NORMAL_MAD,
        "noise_limit": noise_limit(observed, error),
        "without_value": int((~np.isfinite(observed) | ~np.isfinite(predicted)).sum()),
        "uncorrected": int(((table[f"{name}_warn"].to_numpy(np.uint32) & int(Warn.UNCORRECTED)) > 0).sum()),
    }


def noise_limit(values: Float[np.ndarray, " gal"], errors: Float[np.ndarray, " gal"]) -> float:
    """Correlation of noisy with true values: sqrt(1 - mean error^2 / variance); NaN without errors."""
    use = np.isfinite(values) & np.isfinite(errors)
    if use.sum() < 3 or np.var(values[use]) == 0:
        return float("nan")
    return float(np.sqrt(max(1 - np.mean(errors[use] ** 2) / np.var(values[use]), 0.0)))


def numbers(found: Mapping[str, Mapping[str, Mapping]]) -> list[Number]:
    """Pearson's coefficient of every index, for all galaxies, without spirals, and of Mg b for ellipticals."""
    about, hbeta = "Pearson correlation of observed and predicted", ", measured on the stellar fits"
    result = []
    for name, symbol in SHOWN.items():
        text = f"{about} {symbol}{hbeta if name == 'hbeta' else ''}, corrected for velocity dispersion"
        rho = {group: values["pearson"] for group, values in found[name].items()}
        if name != "dn4000":
            result.append(Number(f"rho_{name}", rho["all"], text))
        paper = PAPER.get(name, "")
        result.append(Number(f"rho_{name}_no_spirals", rho["no_spirals"], f"{text}; no spirals", paper=paper))
        if name == "mgb":
            paper = "0.78 (section 5.3)"
            result.append(
                Number("rho_mgb_elliptical", rho["elliptical"], f"{text}; ellipticals", paper=paper)
            )
    return result
