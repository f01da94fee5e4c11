"""Simulate the embedded sky in the survey's own file formats: cubes, catalogue, spectra, truth, checks."""

import argparse
import logging
import os

from sanspec import config, options
from sanspec.errors import SanspecError
from sanspec.mock import survey

log = logging.getLogger(__name__)


FILES = options.files("config templates", out="folder that the sky is written to")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, help="processes (default: every core)")


def run(args: argparse.Namespace) -> None:
    """Simulate and write. Failed checks of the population are logged; they do not stop the stage."""
    if args.workers < 1:
        raise SanspecError(
            f"mock: --workers: got {args.workers}; allowed: 1 or more; leave it out to use every core"
        )
    settings = config.load(args.config).mock
    truth, found = survey.write(settings, args.templates, args.out, args.workers)
    spoilt = int((truth["defect"] != "").sum())
    log.info("%d galaxies, %d of them with a defect -> %s", len(truth), spoilt, args.out)
    for row in found.itertuples():
        level = logging.WARNING if row.verdict == "fails" else logging.INFO
        log.log(level, "%-30s %9.3f  [%g, %g] %s", row.check, row.measured, row.low, row.high, row.verdict)
