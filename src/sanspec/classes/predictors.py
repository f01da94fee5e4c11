"""What the spectra of every predictor show, measured alike: indices, classes, and how they agree with the observed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt64
from tqdm import tqdm

from sanspec.classes import labels, spectralclass
from sanspec.classes.diagnostics import ACTIVE, UNKNOWN
from sanspec.config import Config
from sanspec.features import absorption, emission, indices, lick, linetable, starlight
from sanspec.features.dispersed import SHOWN
from sanspec.physics.lines import INDICES
from sanspec.products import members, samples
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record

OBSERVED = "observed"
PREDICTORS = ("predicted", "predicted_mean", *samples.NEIGHBOURS, "regression")
DIAGRAM = ("red", "blue")  # stretches of the lines on which classes rest
SCORES = {name: text for name, (text, _) in spectralclass.ACTIVE_SCORES.items() if name != "f1"}


def measure(
    kind: str,
    specobjid: UInt64[np.ndarray, " gal"],
    spectra: emission.Spectra,
    populations: starlight.Bank,
    settings: Config,
) -> pd.DataFrame:
    """One row a spectrum: `specobjid`, `kind`, `z`, indices of SHOWN, width of Halpha, `class`, `warn`.

    spectra: their `stars` are not read; a quick continuum takes their place. Hbeta is measured on it. Indices
    are not freed of velocity dispersion.
    """
    data = list(zip(spectra.flux, spectra.ivar, spectra.z))
    stars = np.array([starlight.continuum(*one, populations)[0] for one in data])
    rows = tqdm(range(len(data)), desc=f"compare, {kind}", mininterval=1.0)
    own = emission.Spectra(spectra.flux, stars, spectra.ivar, spectra.correlation, spectra.lsf, spectra.z)
    found = emission.measure(own, settings.lines, rows, DIAGRAM)
    lines = linetable.assemble(OBSERVED, specobjid, np.ones(len(data)), own, found, settings.lines)
    basis = spectralclass.measured(lines)
    group, warn = spectralclass.classify(basis, settings.classify)
    table = pd.DataFrame({"specobjid": specobjid, "kind": kind, "z": spectra.z})
    table = pd.concat([table, index_columns(own, stars, settings)], axis=1)
    more = {"ew_h_alpha": basis.width, "class": group, "warn": warn | lines["warn"].to_numpy(np.uint32)}
    return table.assign(**more)


def index_columns(
    spectra: emission.Spectra, stars: Float[np.ndarray, "gal pix"], settings: Config
) -> pd.DataFrame:
    """The indices of SHOWN."""
    definitions, choice = lick.definitions(), absorption.RESOLUTIONS[settings.lick.resolution]
    good = np.where(spectra.ivar > 0, spectra.flux, np.nan)

    def values(flux, *names) -> lick.Indices:
        wanted = {name: definitions[name] for name in names}
        return lick.measure(wanted, flux, spectra.z, spectra.lsf, resolution=choice, air=settings.lick.air)

    metal = values(good, "mgb", "fe5270", "fe5335")
    found = {name: metal[name].value for name in metal.names}
    found["mgfe"], _ = lick.mgfe(*found.values())
    found["hbeta"] = values(stars, "hbeta")["hbeta"].value
    found["dn4000"] = indices.measure(INDICES["dn4000"], good, spectra.z).value
    return pd.DataFrame(found)[list(SHOWN)]


# ------------------------------------------------------------------------------------------------ summary


def summary(table: pd.DataFrame, draws: int) -> dict:
    """Correlations with the observed indices and scores of the active class, by predictor; headline numbers."""
    sides = {kind: rows.set_index("specobjid") for kind, rows in table.groupby("kind")}
    observed = sides.pop(OBSERVED)
    found = {
        kind: {
            "indices": agreement(observed, rows.loc[observed.index], draws),
            "active": activity(observed["class"].to_numpy(), rows.loc[observed.index, "class"].to_numpy()),
        }
        for kind, rows in sides.items()
    }
    return record(numbers(found)) | {"count": len(observed)} | found


def agreement(observed: pd.DataFrame, other: pd.DataFrame, draws: int) -> dict[str, dict]:
    """Pearson's and Spearman's coefficients of every index, with bootstrap error, and the median difference."""
    result = {}
    for name in SHOWN:
        x, y = (side[name].to_numpy(float) for side in (observed, other))
        result[name] = metrics.correlation(x, y) | {
            "pearson_error": metrics.bootstrap(metrics.pearson, x, y, draws=draws),
            "median_difference": metrics.quantiles(y - x)["median"],
        }
    return result


def activity(actual: np.ndarray, said: np.ndarray) -> dict:
    """Scores of the active class where the observed one is known; a prediction without a class is not active."""
    known = actual != UNKNOWN
    true, claimed = actual[known] == ACTIVE, said[known] == ACTIVE
    pairs: Sequence = ((true, claimed), (~true, claimed), (true, ~claimed), (~true, ~claimed))
    found = labels.scores(*(int((a & b).sum()) for a, b in pairs))
    same = float(np.mean(actual[known] == said[known])) if known.any() else float("nan")
    facts = {"count": int(known.sum()), "unknown": int((said[known] == UNKNOWN).sum())}
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
