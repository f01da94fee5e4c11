"""Measure the Lick indices and the 4000 Angstrom break on observed and predicted spectra alike."""

import logging

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.features import absorption, lick
from sanspec.features.absorption import Side
from sanspec.physics.lines import INDICES, Index
from sanspec.products import samples
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted redshifts objects",
    out="table to write (.ecsv)",
    summary="correlations to write (.json)",
)


def run(args) -> None:
    """Measure every index on both spectra of each test galaxy, correlate, write."""
    settings = config.load(args.config).lick
    test = samples.read_sample(args.spectra, "test")
    redshifts, objects = (samples.aligned(path, test.specobjid) for path in (args.redshifts, args.objects))
    observed, predicted = sides(args, test, redshifts)
    table = absorption.table_of(test.specobjid, observed, predicted, settings)
    units = {name: definition(stem(name)).unit for name in table if not name.endswith(("warn", "specobjid"))}
    made = store.provenance("indices", settings.model_dump(mode="json"), frame="air", sources=sources())
    store.write_table(args.out, table, {name: unit for name, unit in units.items() if unit}, made)
    result = summary(table, objects["morphology"])
    result["choices"] = absorption.choices(observed, predicted)
    store.write_json(args.summary, result)


def sides(args, test: samples.Sample, redshifts: pd.DataFrame) -> tuple[Side, Side]:
    """Observed and predicted spectra, each at its own redshift."""
    correlation = samples.read_correlation(args.spectra, test.rows)
    with store.arrays(args.predicted) as file:
        flux = file["flux"][:][samples.order(test.specobjid, file["specobjid"][:], args.predicted)]
    z_predicted = redshifts["z_predicted"].to_numpy(dtype=np.float64)
    observed = Side(test.flux, test.z, samples.read_lsf(args.spectra, test.rows), test.ivar, correlation)
    return observed, Side(flux, z_predicted, samples.read_predicted_lsf(args.predicted, len(flux)))


def definition(name: str) -> Index:
    """A break or a Lick index."""
    return INDICES[name] if name in INDICES else lick.definitions()[name]


def stem(column: str) -> str:
    """The index that a column is about."""
    return column.removesuffix("_err").removesuffix("_observed").removesuffix("_predicted")


def sources() -> dict[str, str]:
    """Where each index is defined."""
    return {index.name: index.source for index in (*INDICES.values(), *lick.definitions().values())}


# ------------------------------------------------------------------------------------------------- summary


def summary(table: pd.DataFrame, morphology: pd.Series) -> dict:
    """Observed against predicted for every index and morphology; the headline logged."""
    classes = {"all": table} | {name: table[morphology == name] for name in samples.MORPHOLOGIES}
    names = (*INDICES, *lick.definitions())
    result = {name: {key: compare(rows, name) for key, rows in classes.items()} for name in names}
    whole = result["dn4000"]["all"]
    text = "correlation of observed and predicted Dn4000"
    result |= record(
        [
            Number("rho_dn4000", whole["pearson"], f"Pearson {text}", paper="0.91 (fig. 7, no spirals)"),
            Number("rho_dn4000_spearman", whole["spearman"], f"Spearman rank {text}"),
        ]
    )
    log.info(
        "Dn4000: %d galaxies, Pearson %.3f, Spearman %.3f",
        whole["count"],
        whole["pearson"],
        whole["spearman"],
    )
    return result


def compare(table: pd.DataFrame, name: str) -> dict:
    """Correlation, its bootstrap error, mean difference and scatter (predicted - observed), median error."""
    observed, predicted = table[f"{name}_observed"].to_numpy(), table[f"{name}_predicted"].to_numpy()
    difference = metrics.finite(predicted - observed)
    error = metrics.finite(table[f"{name}_observed_err"].to_numpy())
    return metrics.correlation(observed, predicted) | {
        "pearson_error": metrics.bootstrap(metrics.pearson, observed, predicted, draws=200),
        "bias": float(np.mean(difference)) if len(difference) else float("nan"),
        "sigma_mad": metrics.sigma_mad(difference),
        "observed_err_median": float(np.median(error)) if len(error) else float("nan"),
    }
