"""Join the shards of a population fit: one table, one file of fitted spectra."""

import argparse
import logging
from pathlib import Path

from sanspec import options, store
from sanspec.errors import SanspecError
from sanspec.stellar import models, results

log = logging.getLogger(__name__)

FILES = options.files(out="table to write", models_out="fitted spectra to write (.h5)")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    for name in ("tables", "models"):
        about = f"{name} of the shards"
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, metavar="FILE", help=about)


def run(args: argparse.Namespace) -> None:
    """Join tables and models, rows in the order of (specobjid, kind)."""
    if len(args.tables) != len(args.models):
        counts = f"{len(args.tables)} tables but {len(args.models)} files of models"
        raise SanspecError(f"{counts}: give one of each per shard")
    table = results.merge(args.tables)
    results.write(args.out, table, table.attrs["meta"])
    models.merge(args.models, args.models_out, store.provenance("stellar-merge"))
    log.info("%d spectra of %d shards -> %s", len(table), len(args.tables), args.out)
