"""Fetch the M11-MILES stellar population models from the package index, verify and pack them once."""

import argparse
import logging
import tempfile
from pathlib import Path

from sanspec import config, options
from sanspec.archive import index, m11
from sanspec.stellar.library import write_packed

log = logging.getLogger(__name__)


FILES = options.files("config", out="packed templates (.npz)")


def run(args: argparse.Namespace) -> None:
    """Fetch (or take `templates_m11.file`), verify, pack, write."""
    settings = config.load(args.config).templates_m11
    with tempfile.TemporaryDirectory() as folder:
        if settings.file is None:
            wheel = index.fetch(settings.package, settings.sha256, Path(folder), "wheel", "templates_m11")
        else:
            wheel = index.verify(settings.file, settings.sha256, settings.package, "templates_m11")
        library = m11.pack(wheel)
    write_packed(args.out, library)
    log.info("%d populations, %d pixels -> %s", library.flux.shape[1], library.flux.shape[0], args.out)
