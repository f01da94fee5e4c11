"""Join spectra, catalogue and image cubes by specobjid, exactly, and account for every object lost."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.survey import csvfile, cubes, matching, specfile

log = logging.getLogger(__name__)
_UNITS = {"ra": "deg", "dec": "deg", "vdisp": "km/s", "vdisp_err": "km/s"}


FILES = options.files(
    "config",
    out="kept objects (.parquet)",
    losses="lost objects by reason (.ecsv)",
    lost="every lost object (.parquet)",
)


def run(args: argparse.Namespace) -> None:
    """Match the survey named in the settings."""
    settings = config.load(args.config)
    survey = settings.survey
    catalogue = csvfile.read_catalogue(survey.catalogue)
    cube_ids = cubes.read_ids(survey.cubes)
    files = specfile.find(survey.spectra)
    log.info("%d catalogue rows, %d cubes, %d spectra", len(catalogue), len(cube_ids), len(files))
    table = matching.join(catalogue, cube_ids, files)
    matching.check_files(table, read_abouts(table, survey.spectra), settings.match)
    others = matching.strangers(catalogue, cube_ids, files)
    kept, lost = matching.select(table, others, settings.match)
    sizes = {"catalogue": len(catalogue), "cubes": len(cube_ids), "spectra": len(files)}
    write(args, kept, lost, settings, sizes)


def read_abouts(table: pd.DataFrame, folder: Path) -> list[specfile.SpecObj | None]:
    """What the header of each spectrum says of its object; None without a readable file."""
    rows = np.flatnonzero(table["file"] != "")
    abouts: list[specfile.SpecObj | None] = [None] * len(table)
    paths = [Path(folder) / table["file"].iloc[row] for row in rows]
    found = specfile.read_abouts(paths)
    for (about, fault), row, path in zip(tqdm(found, "headers", len(paths), mininterval=1), rows, paths):
        abouts[row] = about
        if fault:
            log.warning("%s: %s", path, fault)
    return abouts


def write(
    args: argparse.Namespace, kept: pd.DataFrame, lost: pd.DataFrame, settings: config.Config, counts: dict
) -> None:
    """Write the three products, and log the counts."""
    losses, flags = matching.count_reasons(lost["warn"]), matching.count_reasons(kept["warn"])
    counts |= {"kept": len(kept), "lost": len(lost)}
    counts["flagged"] = dict(zip(flags["reason"], flags["count"]))
    meta = store.provenance("match", settings.match.model_dump(mode="json"), counts=counts)
    units = {name: unit for name, unit in _UNITS.items() if name in kept}
    store.write_table(args.out, kept, units, meta)
    store.write_table(args.losses, losses, meta=meta)
    store.write_table(args.lost, lost, meta=meta)
    log.info("kept %d, lost %d", len(kept), len(lost))
    for reason, count in losses.itertuples(index=False):
        log.info("  lost: %-20s %d", reason, count)
    for reason, count in flags.itertuples(index=False):
        log.info("  kept, flagged: %-11s %d", reason, count)
