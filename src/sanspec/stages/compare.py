"""Compare what the spectra of every predictor show: indices and classes, the baselines' measured as ours are."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.classes import predictors
from sanspec.features import emission, starlight
from sanspec.products import samples
from sanspec.spectra import grid
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted baselines redshifts templates",
    out="table to write (.parquet or .ecsv), one row a spectrum",
    summary="correlations and scores to write (.json)",
)
UNITS = {"mgb": "Angstrom", "fe5270": "Angstrom", "fe5335": "Angstrom", "mgfe": "Angstrom"}
UNITS |= {"hbeta": "Angstrom", "ew_h_alpha": "Angstrom"}


def run(args) -> None:
    """Measure every predictor's spectra at its own redshifts, correlate with the observed, write."""
    settings = config.load(args.config)
    test = samples.read_sample(args.spectra, "test")
    observed = observations(args.spectra, test)
    resolution = float(np.median(observed.lsf[:, grid.WAVE.size // 2] / (1 + test.z)))
    populations = starlight.bank(open_library(args.templates), resolution)
    sides = [(predictors.OBSERVED, observed), *predictions(args, test, observed)]
    table = pd.concat(
        [predictors.measure(kind, test.specobjid, side, populations, settings) for kind, side in sides],
        ignore_index=True,
    )
    made = store.provenance("compare", settings.lines.model_dump(mode="json"), continuum="starlight")
    store.write_table(args.out, table, UNITS, made)
    found = predictors.summary(table, settings.lick.bootstrap)
    store.write_json(args.summary, found)
    for kind in predictors.PREDICTORS:
        mgb, active = found[kind]["indices"]["mgb"]["pearson"], found[kind]["active"]
        log.info(
            "%s: rho of Mg b %.3f, AGN accuracy %.3f (never: %.3f)",
            kind,
            mgb,
            active["accuracy"],
            active["never"],
        )


def observations(path: Path, test: samples.Sample) -> emission.Spectra:
    """The observed spectra, without continua."""
    correlation = samples.read_correlation(path, test.rows)
    if correlation is None:
        correlation = np.zeros((len(test.z), 0, test.flux.shape[1]), np.float16)
    lsf = samples.read_lsf(path, test.rows)
    return emission.Spectra(test.flux, np.full(test.flux.shape, np.nan), test.ivar, correlation, lsf, test.z)


def predictions(
    args, test: samples.Sample, observed: emission.Spectra
) -> Iterator[tuple[str, emission.Spectra]]:
    """Kind and spectra of every predictor, each at the redshift that it implies, with the noise of the observed."""
    flux = samples.read_predicted(args.predicted, test.specobjid)
    table = samples.aligned(args.redshifts, test.specobjid)
    lsf = samples.read_predicted_lsf(args.predicted, len(test.z))
    with store.arrays(args.baselines) as file:
        rows = samples.order(test.specobjid, file["specobjid"][:], args.baselines)
        flux |= {kind: file[kind]["flux"][:][rows] for kind in (*samples.NEIGHBOURS, "regression")}
    for kind in predictors.PREDICTORS:
        z = table[f"z_{kind}"].to_numpy(np.float64)
        yield kind, emission.predicted(observed, flux[kind].astype(np.float64), observed.stars, lsf, z)
