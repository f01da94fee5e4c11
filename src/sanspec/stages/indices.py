"""Measure Dn4000 on observed and predicted spectra alike."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import config, indices, metrics, samples, store
from sanspec.lines import INDICES

log = logging.getLogger(__name__)

FILES = {
    "config": "settings of the run",
    "spectra": "prepared/spectra.h5",
    "predicted": "generated/predicted.h5",
    "redshifts": "tables/redshift.ecsv",
    "objects": "prepared/objects.parquet",
    "out": "table to write (.ecsv)",
    "summary": "correlations to write (.json)",
}


def arguments(parser) -> None:
    """Options of the stage."""
    for name, text in FILES.items():
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)


def run(args) -> None:
    """Measure every index on both spectra of each test galaxy, correlate, write."""
    config.load(args.config)
    test = samples.read_sample(args.spectra, "test")
    correlation = samples.read_correlation(args.spectra, test.rows)
    redshifts, objects = (samples.aligned(path, test.specobjid) for path in (args.redshifts, args.objects))
    with store.arrays(args.predicted) as file:
        flux = file["flux"][:][samples.order(test.specobjid, file["specobjid"][:], args.predicted)]
    z_predicted = redshifts["z_predicted"].to_numpy(dtype=np.float64)
    table = pd.DataFrame({"specobjid": test.specobjid})
    for index in INDICES.values():
        observed = indices.measure(index, test.flux, test.z, test.ivar, correlation)
        predicted = indices.measure(index, flux, z_predicted)
        table[f"{index.name}_observed"], table[f"{index.name}_observed_err"] = observed.value, observed.error
        table[f"{index.name}_predicted"] = predicted.value
        table[f"{index.name}_warn"] = observed.warn | predicted.warn
    table["warn"] = table["dn4000_warn"]
    store.write_table(args.out, table, meta=store.provenance("indices", frame="air", sources=sources()))
    store.write_json(args.summary, summary(table, objects["morphology"]))


def sources() -> dict[str, str]:
    """Where each index is defined."""
    return {index.name: index.source for index in INDICES.values()}


def summary(table: pd.DataFrame, morphology: pd.Series) -> dict:
    """Observed against predicted for every index and morphology; the headline logged."""
    classes = {"all": table} | {name: table[morphology == name] for name in samples.MORPHOLOGIES}
    result = {name: {key: compare(rows, name) for key, rows in classes.items()} for name in INDICES}
    whole = result["dn4000"]["all"]
    result["numbers"] = {"rho_dn4000": whole["pearson"], "rho_dn4000_spearman": whole["spearman"]}
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
        "pearson_error": metrics.bootstrap(metrics.pearson, observed, predicted),
        "bias": float(np.mean(difference)) if len(difference) else float("nan"),
        "sigma_mad": metrics.sigma_mad(difference),
        "observed_err_median": float(np.median(error)) if len(error) else float("nan"),
    }
