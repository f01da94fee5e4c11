"""Measure the Lick indices and the 4000 Angstrom break on observed and predicted spectra in the same way."""

import logging

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.features import absorption
from sanspec.products import samples
from sanspec.products.members import Members
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
    settings, definitions = config.load(args.config).lick, absorption.definitions()
    members = Members(args.spectra, predicted=args.predicted, redshifts=args.redshifts)
    pair = members.observed, members.predictor("predicted")
    found = [absorption.indices_of(spectra, settings) for spectra in pair]
    if settings.method == "pyphot":
        resolution = absorption.RESOLUTIONS[settings.resolution]
        found = [absorption.by_pyphot(spectra, one, resolution) for spectra, one in zip(pair, found)]
    table = absorption.table_of(members.observed.specobjid, *found)
    measured = {name: index.unit for name, index in definitions.items() if index.unit}
    suffixes = "observed", "observed_err", "predicted"
    units = {f"{name}_{suffix}": unit for name, unit in measured.items() for suffix in suffixes}
    sources = {name: index.source for name, index in definitions.items()}
    made = store.provenance("indices", settings.model_dump(mode="json"), frame="air", sources=sources)
    store.write_table(args.out, table, units, made)
    result = summary(table, members.table(args.objects)["morphology"])
    store.write_json(args.summary, result | {"choices": absorption.choices(pair)})


def summary(table: pd.DataFrame, morphology: pd.Series) -> dict:
    """Observed against predicted for every index and morphology; headline numbers."""
    classes = {"all": table} | {name: table[morphology == name] for name in samples.MORPHOLOGIES}
    result = {
        name: {key: agreement(rows, name) for key, rows in classes.items()}
        for name in absorption.definitions()
    }
    whole = result["dn4000"]["all"]
    log.info("Dn4000: {count} galaxies, Pearson {pearson:.3f}, Spearman {spearman:.3f}".format(**whole))
    text = "correlation of observed and predicted Dn4000"
    return result | record(
        [
            Number("rho_dn4000", whole["pearson"], f"Pearson {text}", paper="0.91 (fig. 7, no spirals)"),
            Number("rho_dn4000_spearman", whole["spearman"], f"Spearman rank {text}"),
        ]
    )


def agreement(table: pd.DataFrame, name: str) -> dict:
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
