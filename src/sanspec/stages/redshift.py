"""Measure redshifts on observed, predicted and regressed spectra alike, none of them told the truth."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.products import samples
from sanspec.redshift import eigenfit, redshifts
from sanspec.scores import metrics

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted baselines eigenspectra",
    out="table to write (.ecsv)",
    summary="scores to write (.json)",
)
BASELINES = {  # redshifts that are not measured on a spectrum
    "nearest_image": "nearest_image/z",
    "nearest_colour": "nearest_colour/z",
    "nearest_contrastive": "nearest_contrastive/z",
    "cnn": "cnn/z",
}
SCORED = ("observed", *samples.PREDICTED, "drawn", "regression", *BASELINES, "median")
RESAMPLINGS = 1000  # for the error of each sigma_MAD
CORRELATED = 200  # objects whose noise correlation is averaged


def run(args) -> None:
    """Measure, score and write."""
    settings = config.load(args.config).redshift
    test = samples.read_sample(args.spectra, "test")
    train = samples.read_sample(args.spectra, "train", settings.spectra)
    table = pd.DataFrame({"specobjid": test.specobjid, "z_spec": test.z})
    spectra = {"observed": test.flux} | samples.read_predicted(args.predicted, test.specobjid)
    with store.arrays(args.baselines) as file:
        rows = samples.order(test.specobjid, file["specobjid"][:], args.baselines)
        spectra["regression"] = file["regression/flux"][:][rows]
        for name, place in BASELINES.items():
            table[f"z_{name}"] = file[place][:][rows]
    table["z_drawn"] = drawn(args.predicted, test.specobjid)
    table["z_median"] = np.median(train.z)
    inflation = samples.noise_inflation(args.spectra, test.rows[:CORRELATED])
    weight = common_weight(train.ivar) * (test.ivar > 0)
    templates = eigenfit.read_templates(args.eigenspectra)
    measured = measure(spectra, weight, templates, redshifts.Scan.of(settings), inflation)
    write(args, pd.concat([table, measured], axis=1), inflation)


def drawn(path: Path, specobjid: np.ndarray) -> Float[np.ndarray, " gal"]:
    """Median of the redshifts drawn along with the spectra; NaN where none were."""
    with store.arrays(path) as file:
        rows = samples.order(specobjid, file["specobjid"][:], path)
        return np.median(file["z_draws"][:][rows], axis=1).astype(np.float64)


def common_weight(ivar: Float[np.ndarray, "gal pix"]) -> Float[np.ndarray, " pix"]:
    """Median inverse variance of each pixel over the training spectra that have one; 0 where none has.

    Generated spectra have no noise of their own: one weight serves every spectrum, times the mask of the
    observed one for both members of a pair.
    """
    known = np.where(ivar > 0, ivar, np.nan)
    middle = np.zeros(ivar.shape[1])
    some = np.isfinite(known).any(axis=0)
    middle[some] = np.nanmedian(known[:, some], axis=0)
    return middle


def measure(
    spectra: dict,
    weight: Float[np.ndarray, "gal pix"],
    templates: eigenfit.Templates,
    scan: redshifts.Scan,
    inflation: float,
) -> pd.DataFrame:
    """Columns z_<kind>, z_<kind>_err, _delta_chi2, _warn of all kinds, on the same trial redshifts."""
    progress = partial(tqdm, desc="redshift", mininterval=1.0)
    stacked, weights = np.concatenate(list(spectra.values())), np.tile(weight, (len(spectra), 1))
    found = redshifts.measure(stacked, weights, templates, scan, inflation=inflation, progress=progress)
    columns = {}
    for kind, rows in zip(spectra, np.split(np.arange(len(found)), len(spectra))):
        one = found.iloc[rows]
        columns[f"z_{kind}"] = one["z"].to_numpy()
        columns |= {f"z_{kind}_{name}": one[key].to_numpy() for name, key in NAMES.items()}
    return pd.DataFrame(columns)


NAMES = {"err": "z_err", "delta_chi2": "delta_chi2", "warn": "warn"}


def scores(table: pd.DataFrame) -> dict[str, dict]:
    """Bias, sigma_MAD and outliers of every kind; `ambiguous` counts the AMBIGUOUS_REDSHIFT among them."""
    result = {}
    for kind in SCORED:
        result[kind] = metrics.redshift_scores(
            table[f"z_{kind}"].to_numpy(), table["z_spec"].to_numpy(), draws=RESAMPLINGS
        )
        if f"z_{kind}_warn" in table:
            bit = int(redshifts.Warn.AMBIGUOUS_REDSHIFT)
            result[kind]["ambiguous"] = int(np.sum(table[f"z_{kind}_warn"].to_numpy() & bit > 0))
    return result


def headline(found: dict[str, dict]) -> dict[str, float]:
    """The documented numbers of a run, by name."""
    best = {
        name: found["predicted"][name]
        for name in ("sigma_mad", "sigma_mad_error", "bias", "outliers_005", "outliers_003")
    }
    others = {
        f"sigma_mad_{kind}": found[kind]["sigma_mad"]
        for kind in SCORED
        if kind not in ("predicted", "median")
    }
    return best | others | {"sigma_mad_median_baseline": found["median"]["sigma_mad"]}


def write(args, table: pd.DataFrame, inflation: float) -> None:
    """The table and the scores; the headline logged."""
    facts = {
        "noise_inflation": inflation,
        "weight": "training-set median ivar of each pixel, times the observed mask",
    }
    store.write_table(args.out, table, meta=store.provenance("redshift", **facts))
    found = scores(table)
    numbers = headline(found)
    store.write_json(args.summary, found | {"numbers": numbers, **facts})
    for name in (
        "sigma_mad",
        "sigma_mad_observed",
        "sigma_mad_regression",
        "sigma_mad_nearest_image",
        "sigma_mad_median_baseline",
    ):
        log.info("%s %.5f", name, numbers[name])
