"""Fit stellar populations of observed and predicted spectra with FIREFLY's method."""

import argparse

import numpy as np

from sanspec import config, options, store
from sanspec.stellar import results, shards
from sanspec.stellar.firefly.fit import fit
from sanspec.stellar.firefly.match import trimmed
from sanspec.stellar.library import Library, open_library
from sanspec.stellar.spectra import Spectrum

ERRORS = {
    "clean": "x_err: 1 sigma, calibrated on mixtures of M11 populations; x_std: of the bootstrap",
    "compat": "x_err: half the released code's 1 sigma interval, too small on mocks; x_std: of the bootstrap",
}
FILES = options.files(
    "config spectra predicted redshifts",
    kinematics="table of pPXF, with the velocity dispersions for the templates",
    templates="library of populations (.npz), or a folder of firefly_release",
    out="table to write (.parquet or .ecsv)",
    models="fitted spectra to write (.h5)",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th galaxy from the I-th on")


def run(args: argparse.Namespace) -> None:
    """Fit every pair of the shard, write the table and the fitted spectra."""
    settings = config.load(args.config).stellar
    library = open_library(args.templates, settings.firefly.imf)
    measured = results.read(args.kinematics)
    keys = zip(measured["specobjid"].astype(int), measured["kind"])
    vdisp = dict(zip(keys, measured["vdisp"].astype(float)))

    def fit_one(spectrum: Spectrum, with_draws: bool) -> tuple:
        own = vdisp.get((int(spectrum.specobjid), spectrum.kind), np.nan)
        return fit(spectrum, library, settings, own, with_draws)

    shards.fit_shard(args, "firefly", fit_one, settings, header(library, settings))


def header(library: Library, settings: config.Stellar) -> dict:
    """Header of the table: code, library, kind of averages and errors."""
    method, averages = settings.firefly.method, settings.firefly.averages
    library = trimmed(library) if method == "clean" else library
    logs = method == "clean" and averages == "log"
    made = store.provenance("firefly", settings.model_dump(mode="json", exclude={"ppxf", "shards"}))
    about = {
        "code": f"FIREFLY's method, {method}",
        "averages": "mean of log10" if logs else "log10 of the mean",
        "errors": ERRORS[method],
    }
    return made | about | {"library": library.name, "imf": library.imf, "limits": library.limits()}
