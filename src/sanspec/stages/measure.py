"""Measure redshift and Dn4000 on spectrum files of your own, as on those of the survey; one row a file."""

import logging
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sanspec import config, measuring, store
from sanspec.archive import emiles, index
from sanspec.redshift import composites, eigenfit

log = logging.getLogger(__name__)


def arguments(parser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE-OR-FOLDER", help="spec FITS files, or folders of them"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="table to write (.ecsv or .parquet)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings; without it the defaults")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--templates", type=Path, metavar="FILE", help="emiles.npz, of which eigenspectra are made"
    )
    source.add_argument("--eigenspectra", type=Path, metavar="FILE", help="eigenspectra.h5, instead")
    parser.add_argument("--spectra-out", type=Path, metavar="FILE", help="the smoothed spectra as well (.h5)")


def run(args) -> None:
    """Measure every file and write the table."""
    settings = config.load(args.config) if args.config else config.Config()
    paths = measuring.find(args.files)
    templates = eigenspectra(args, settings)
    progress = partial(tqdm, desc="measure", mininterval=1.0, unit="block")
    table = measuring.measure(paths, templates, settings, progress=progress)
    made = store.provenance("measure", settings.redshift.model_dump(mode="json"))
    store.write_table(args.out, table, measuring.UNITS, made)
    if args.spectra_out:
        measuring.write_spectra(args.spectra_out, table, settings, made)
    measured = np.isfinite(table["z"])
    log.info("%d files, %d with a redshift -> %s", len(table), measured.sum(), args.out)
    for reason, count in table["reason"][~measured].value_counts().items():
        log.info("%d not measured: %s", count, reason)


def eigenspectra(args, settings: config.Config) -> eigenfit.Templates:
    """Those of the file given, or made of the E-MILES populations, which are fetched where missing."""
    if args.eigenspectra:
        return eigenfit.read_templates(args.eigenspectra)
    path = args.templates or settings.measure.templates
    if not args.templates and not path.exists():
        fetch(path, settings.templates)
    return composites.eigenspectra(emiles.read_templates(path), settings.measure.components)


def fetch(path: Path, settings: config.Templates) -> None:
    """The E-MILES populations from the package index, verified and packed."""
    log.info("no %s: fetching %s", path, settings.package)
    with tempfile.TemporaryDirectory() as folder:
        archive = index.fetch(settings.package, settings.sha256, Path(folder))
        emiles.write_templates(path, emiles.pack(archive, settings.wave_min, settings.wave_max))
