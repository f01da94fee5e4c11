"""Indices and classes on the spectra of every predictor, measured in the same way; agreement with the observed ones."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sanspec.classes import diagnostics, labels, spectralclass
from sanspec.classes.diagnostics import ACTIVE, UNKNOWN
from sanspec.config import Config
from sanspec.features import absorption, lick, linetable, starlight
from sanspec.features.dispersed import SHOWN
from sanspec.products import members
from sanspec.products.members import OBSERVED
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record
from sanspec.spectra.spectra import Spectra

STRETCHES = ("red", "blue")  # ranges that hold the lines on which classes rest
SCORES = {name: text for name, (text, _) in spectralclass.ACTIVE_SCORES.items() if name != "f1"}


def properties(
    spectra: Spectra, populations: starlight.Bank, settings: Config, progress=iter
) -> pd.DataFrame:
    """One row per spectrum: `specobjid`, `kind`, `z`, indices of SHOWN, width of Halpha, `class`, `warn`.

    A quick stellar continuum is subtracted from the lines, and Hbeta is measured on it. Indices are not corrected for
    velocity dispersion. progress: wraps the loop over spectra.
    """
    data = zip(spectra.flux, spectra.ivar, spectra.z)
    stars = np.array([starlight.continuum(*one, populations)[0] for one in data])
    lines = linetable.line_table(spectra, stars, settings.lines, STRETCHES, progress)
    basis = spectralclass.strengths(lines)
    group, warn = diagnostics.classify(basis.fluxes, basis.width, settings.classify.ew_min)
    found = absorption.indices_of(spectra, settings.lick, SHOWN)
    found["mgfe"] = lick.mgfe(found)
    found["hbeta"] = absorption.hbeta_on_fit(stars, spectra.z, spectra.lsf, settings.lick)
    more = {"ew_h_alpha": basis.width, "class": group, "warn": warn | lines["warn"].to_numpy(np.uint32)}
    return lines[["specobjid", "kind", "z"]].assign(**{name: found[name].value for name in SHOWN}, **more)


# ------------------------------------------------------------------------------------------------ summary


def summary(table: pd.DataFrame, draws: int) -> dict:
    """Correlations with the observed indices and scores of the active class, by predictor; headline numbers."""
    kinds = {kind: rows.set_index("specobjid") for kind, rows in table.groupby("kind")}
    observed = kinds.pop(OBSERVED)
    found = {
        kind: {
            "indices": agreement(observed, rows.loc[observed.index], draws),
            "active": activity(observed["class"].to_numpy(), rows.loc[observed.index, "class"].to_numpy()),
        }
        for kind, rows in kinds.items()
    }
    return record(numbers(found)) | {"count": len(observed)} | found


def agreement(observed: pd.DataFrame, other: pd.DataFrame, draws: int) -> dict[str, dict]:
    """Pearson's and Spearman's coefficients of every index, with bootstrap error, and the median difference."""
    result = {}
    for name in SHOWN:
        x, y = (table[name].to_numpy(float) for table in (observed, other))
        result[name] = metrics.correlation(x, y) | {
            "pearson_error": metrics.bootstrap(metrics.pearson, x, y, draws=draws),
            "median_difference": metrics.quantiles(y - x)["median"],
        }
    return result


def activity(actual: np.ndarray, predicted: np.ndarray) -> dict:
    """Scores of the active class where the observed class is known; a prediction without a class is not active."""
    known = actual != UNKNOWN
    actual, predicted = actual[known], predicted[known]
    found = labels.scores(*labels.outcomes(actual == ACTIVE, predicted == ACTIVE))
    same = float(np.mean(actual == predicted)) if known.any() else float("nan")
    facts = {"count": int(known.sum()), "unknown": int((predicted == UNKNOWN).sum())}
    return facts | {name: float(value) for name, value in found.items()} | {"accuracy_three_classes": same}


def numbers(found: Mapping[str, Mapping]) -> list[Number]:
    """Coefficients and scores of every predictor, as `compared_rho_mgb_regression`; the best draw has no suffix."""
    result = []
    for kind, one in found.items():
        tag = "" if kind == "predicted" else f"_{kind.removeprefix('predicted_')}"
        who = members.PREDICTORS[kind].description
        for name, symbol in SHOWN.items():
            fit = " on the stellar fit" if name == "hbeta" else ""
            text = f"Pearson correlation of {symbol}{fit}, not corrected for velocity dispersion; {who}"
            result.append(Number(f"compared_rho_{name}{tag}", one["indices"][name]["pearson"], text))
        for name, score in SCORES.items():
            text = f"active or not, a spectrum without a class counts as not active: {score}; {who}"
            result.append(Number(f"compared_agn_{name}{tag}", one["active"][name], text))
    return result
