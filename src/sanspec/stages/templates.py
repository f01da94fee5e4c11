"""Fetch a library of stellar population models from the package index, verify it and pack it."""

import argparse
import logging

from sanspec import config, options
from sanspec.archive.templates import CARRIERS, fetch_library

log = logging.getLogger(__name__)

FILES = options.files("config", out="packed templates (.npz)")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "--library", choices=CARRIERS, default="emiles", help="emiles: E-MILES; m11: M11-MILES, for FIREFLY"
    )


def run(args: argparse.Namespace) -> None:
    """Fetch the library, or take the file that the settings name, verify, pack, write."""
    library = fetch_library(args.library, getattr(config.load(args.config).templates, args.library))
    library.write(args.out)
    log.info("%s: %d populations, %d pixels -> %s", library.name, *library.flux.shape[::-1], args.out)
