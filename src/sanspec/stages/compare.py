"""Compare the spectra of all predictors: indices and classes, measured on each in the same way."""

import logging
from functools import partial

import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.classes import predictors
from sanspec.features import starlight
from sanspec.products.members import Members
from sanspec.spectra import grid
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted baselines redshifts templates",
    out="table to write (.parquet or .ecsv), one row per spectrum",
    summary="correlations and scores to write (.json)",
)
UNITS = dict.fromkeys(("mgb", "fe5270", "fe5335", "mgfe", "hbeta", "ew_h_alpha"), "Angstrom")


def run(args) -> None:
    """Measure the spectra of every predictor at its own redshifts, correlate with the observed, write."""
    settings = config.load(args.config)
    members = Members(args.spectra, args.predicted, args.baselines, args.redshifts)
    observed = members.observed
    resolution = float(np.median(observed.lsf[:, grid.WAVE.size // 2] / (1 + observed.z)))
    populations = starlight.bank(open_library(args.templates), resolution)
    tables = []
    for spectra in (observed, *members.predictors(indices=True)):
        progress = partial(tqdm, desc=f"compare, {spectra.kind}", mininterval=1.0)
        tables.append(predictors.properties(spectra, populations, settings, progress))
    table = pd.concat(tables, ignore_index=True)
    made = store.provenance("compare", settings.lines.model_dump(mode="json"), continuum="starlight")
    store.write_table(args.out, table, UNITS, made)
    found = predictors.summary(table, settings.lick.bootstrap)
    store.write_json(args.summary, found)
    for kind in table["kind"].unique()[1:]:
        mgb, active = found[kind]["indices"]["mgb"]["pearson"], found[kind]["active"]
        scores = "rho of Mg b %.3f, AGN accuracy %.3f (never active: %.3f)"
        log.info(f"%s: {scores}", kind, mgb, active["accuracy"], active["never"])
