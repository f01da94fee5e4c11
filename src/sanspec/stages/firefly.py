"""Fit stellar populations of observed and predicted spectra with FIREFLY's method."""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.stellar import results, shards
from sanspec.stellar.firefly.fit import Libraries, fit
from sanspec.stellar.library import open_library
from sanspec.stellar.spectra import Pairs, Spectrum, chosen, shard

ERRORS = {
    "clean": "x_err: 1 sigma, calibrated on mixtures of M11 populations; x_std: of the bootstrap",
    "compat": "x_err: half the released code's 1 sigma interval, too small on mocks; x_std: of the bootstrap",
}
FILES = options.files(
    "config spectra predicted redshifts",
    kinematics="table of pPXF, whose velocity dispersions the templates get",
    templates="library of populations (.npz), or a folder of firefly_release",
    out="table to write (.parquet or .ecsv)",
    models="fitted spectra to write (.h5)",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th object from the I-th on")


def run(args: argparse.Namespace) -> None:
    """Fit every pair of the shard, write the table and the fitted spectra."""
    settings = config.load(args.config).stellar
    libraries = Libraries.of(open_library(args.templates, settings.firefly.imf), settings)
    vdisp = dispersions(args.kinematics)
    pairs = Pairs(args.spectra, args.predicted, args.redshifts, settings, shard(args.shard))
    with_draws = chosen(pairs.all_ids, settings.firefly.bootstrap_objects, settings.seed)
    done = [
        fit(spectrum, libraries, settings, vdisp.get(key(spectrum), np.nan), spectrum.specobjid in with_draws)
        for spectrum in tqdm(pairs, desc="firefly", mininterval=1.0)
    ]
    about = meta(settings, libraries) | {"shard": args.shard}
    shards.write(args.out, args.models, done, "firefly", about)


def key(spectrum: Spectrum) -> tuple[int, str]:
    """Whose row it is."""
    return int(spectrum.specobjid), spectrum.kind


def dispersions(path: Path) -> dict[tuple[int, str], float]:
    """Velocity dispersions [km/s] by (specobjid, kind)."""
    table = results.read(path)
    keys = zip(table["specobjid"].astype(int), table["kind"])
    return dict(zip(keys, table["vdisp"].astype(float)))


def meta(settings: config.Stellar, libraries: Libraries) -> dict:
    """What the table's header says."""
    library = libraries.trimmed if settings.firefly.method == "clean" else libraries.whole
    made = store.provenance("firefly", settings.model_dump(mode="json", exclude={"ppxf", "shards"}))
    averages = settings.firefly.averages if settings.firefly.method == "clean" else "linear"
    means = "log10 of the mean" if averages == "linear" else "mean of log10"
    errors = ERRORS[settings.firefly.method]
    about = {"code": f"FIREFLY's method, {settings.firefly.method}", "averages": means, "errors": errors}
    return made | about | {"library": library.name, "imf": library.imf, "limits": library.limits()}
