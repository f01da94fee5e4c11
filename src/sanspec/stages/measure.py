"""Measure spectrum files of your own: redshift, indices, emission lines, class; one row per file."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.archive.templates import fetch_library
from sanspec.measuring import files, table
from sanspec.redshift import composites, eigenfit
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)

FILES = options.files(out="table to write (.ecsv or .parquet)")
OPTIONAL = options.files(
    config="settings; default: those of the package",
    templates="emiles.npz: starlight, and eigenspectra where none are given",
    eigenspectra="eigenspectra.h5 for the redshifts",
    spectra_out="write the smoothed spectra as well (.h5)",
)


def arguments(parser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE-OR-FOLDER", help="spec FITS files, or folders of them"
    )
    parser.add_argument(
        "--populations",
        action="store_true",
        help="fit populations with pPXF as well: about a second per file",
    )


def run(args) -> None:
    """Measure every file and write the table."""
    settings = config.load(args.config) if args.config else config.Config()
    paths = files.find(args.files)
    tools = prepared_tools(args, settings)
    progress = partial(tqdm, desc="measure", mininterval=1.0, unit="block")
    found = table.measure_files(paths, tools, settings, progress=progress)
    sections = {
        name: getattr(settings, name).model_dump(mode="json") for name in ("redshift", "lick", "lines")
    }
    made = store.provenance("measure", sections)
    columns = table.OF_FILE | tools.columns()
    units = {name: unit for name, (unit, _) in columns.items() if unit}
    meanings = {"columns": {name: text for name, (_, text) in columns.items()}}
    store.write_table(args.out, found, units, made | meanings)
    if args.spectra_out:
        table.write_spectra(args.spectra_out, found, settings, made)
    measured = np.isfinite(found["z"])
    log.info("%d files, %d with a redshift -> %s", len(found), measured.sum(), args.out)
    for reason, count in found["reason"][~measured].value_counts().items():
        log.info("%d not measured: %s", count, reason)


def prepared_tools(args, settings: config.Config) -> table.Tools:
    """Eigenspectra from the given file or made from the populations, which are downloaded where missing.

    With eigenspectra given and no populations at hand nothing is downloaded, and no lines are measured.
    """
    ppxf = settings.stellar.ppxf
    path = args.templates or settings.measure.templates
    needed = args.eigenspectra is None or args.populations
    if needed and not args.templates and not path.exists():
        log.info("no %s: downloading E-MILES", path)
        fetch_library("emiles", settings.templates.emiles).write(path)
    populations = open_library(path, ppxf.imf) if needed or args.templates or path.exists() else None
    if populations is None:
        log.warning("no populations at %s: lines and classes are left out", path)
    eigenspectra = (
        eigenfit.read_eigenspectra(args.eigenspectra)
        if args.eigenspectra
        else composites.eigenspectra(populations, settings.measure.components)
    )
    library = populations.cut(age_max=ppxf.age_max) if args.populations else None
    return table.Tools(eigenspectra, populations, library)
