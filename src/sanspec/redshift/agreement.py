"""Redshifts of observed and predicted spectra of the test galaxies, and how well they agree with the catalogue."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.config import Redshift
from sanspec.errors import Warn
from sanspec.products.members import OBSERVED, PREDICTORS, Members
from sanspec.redshift.eigenfit import Eigenspectra, Progress
from sanspec.redshift.redshifts import measure_redshifts
from sanspec.scores import metrics
from sanspec.scores.numbers import Number
from sanspec.spectra.spectra import Spectra

RESAMPLINGS = 1000  # bootstrap resamplings for the error of each sigma_MAD
CORRELATED = 200  # observed spectra over which the inflation by correlated noise is averaged


def redshift_table(
    test: Members, train: Spectra, eigenspectra: Eigenspectra, settings: Redshift, progress: Progress = iter
) -> tuple[pd.DataFrame, float]:
    """Redshifts `z_<kind>` of all kinds of spectra, with `_err`, `_delta_chi2`, `_warn` where they are measured.

    All spectra are measured on the same trial redshifts with the same weights. Also returns the inflation of variances
    by correlated noise. Without a spectrum: `z_cnn` (from the image), `z_drawn` (median of those drawn with the
    spectra), `z_median` (of the training split).
    """
    observed, predictors = test.observed, list(test.predictors())
    known = {spectra.kind: spectra.z for spectra in predictors if PREDICTORS[spectra.kind].z}
    known |= {
        "cnn": test.from_images()["z"],
        "drawn": np.median(test.z_draws(), axis=1).astype(np.float64),
        "median": np.median(train.z),
    }
    columns = {"specobjid": observed.specobjid, "z_spec": observed.z}
    columns |= {f"z_{kind}": z for kind, z in known.items()}
    measured = [observed, *(spectra for spectra in predictors if spectra.kind not in known)]
    inflation = float(np.median(observed[:CORRELATED].noise_inflation()))
    weight = np.tile(common_weight(train.ivar) * (observed.ivar > 0), (len(measured), 1))
    flux = np.concatenate([spectra.flux for spectra in measured])
    found = measure_redshifts(flux, weight, eigenspectra, settings, inflation=inflation, progress=progress)
    for spectra, rows in zip(measured, np.split(np.arange(len(found)), len(measured))):
        one, kind = found.iloc[rows], spectra.kind
        columns |= {f"z_{kind}": one["z"].to_numpy(), f"z_{kind}_err": one["z_err"].to_numpy()}
        columns |= {f"z_{kind}_{name}": one[name].to_numpy() for name in ("delta_chi2", "warn")}
    return pd.DataFrame(columns), inflation


def common_weight(ivar: Float[np.ndarray, "gal pix"]) -> Float[np.ndarray, " pix"]:
    """Median inverse variance of each pixel over the training spectra that have one; 0 where none has.

    Predicted spectra have no noise of their own. So all spectra are fitted with this weight, times the mask of the
    observed spectrum.
    """
    known = np.where(ivar > 0, ivar, np.nan)
    middle = np.zeros(ivar.shape[1])
    some = np.isfinite(known).any(axis=0)
    middle[some] = np.nanmedian(known[:, some], axis=0)
    return middle


def scores(table: pd.DataFrame) -> dict[str, dict]:
    """Bias, sigma_MAD and outlier fractions of every kind; `ambiguous`: how many are AMBIGUOUS_REDSHIFT."""
    result = {}
    for kind in kinds():
        z, z_spec = table[f"z_{kind}"].to_numpy(), table["z_spec"].to_numpy()
        result[kind] = metrics.redshift_scores(z, z_spec, draws=RESAMPLINGS)
        if f"z_{kind}_warn" in table:
            ambiguous = table[f"z_{kind}_warn"].to_numpy() & int(Warn.AMBIGUOUS_REDSHIFT) > 0
            result[kind]["ambiguous"] = int(np.sum(ambiguous))
    return result


def kinds() -> list[str]:
    """Kinds of redshifts in the order of the scores."""
    own = [name for name, predictor in PREDICTORS.items() if not predictor.is_baseline]
    others = [name for name, predictor in PREDICTORS.items() if predictor.is_baseline and not predictor.z]
    given = [name for name, predictor in PREDICTORS.items() if predictor.is_baseline and predictor.z]
    return [OBSERVED, *own, "drawn", *others, *given, "cnn", "median"]


def numbers(found: dict[str, dict]) -> list[Number]:
    """The numbers of a run: all scores of the best draw, and sigma_MAD of every kind of redshift."""
    best = {
        "sigma_mad": ("sigma_MAD of dz = (z - z_spec)/(1 + z_spec)", "0.01177 (section 5.2)"),
        "sigma_mad_error": ("bootstrap error of sigma_MAD", ""),
        "bias": ("mean of dz", ""),
        "outliers_005": ("fraction with |dz| > 0.05", "0.0013 (2 of 1506)"),
        "outliers_003": ("fraction with |dz| > 0.03", ""),
    }
    about = {name: predictor.description for name, predictor in PREDICTORS.items()} | {
        OBSERVED: "observed spectra",
        "drawn": "median of the redshifts drawn together with the spectra",
        "cnn": "baseline: redshift predicted from the image without a spectrum",
        "median": "baseline: median redshift of the training split for all galaxies",
    }
    result = []
    for name, (text, paper) in best.items():
        result.append(Number(name, found["predicted"][name], f"best draw: {text}", paper=paper))
    for kind, scores in found.items():
        if kind != "predicted":
            name = "median_baseline" if kind == "median" else kind
            result.append(Number(f"sigma_mad_{name}", scores["sigma_mad"], f"{about[kind]}: sigma_MAD of dz"))
    return result
