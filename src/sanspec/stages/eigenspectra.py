"""Make eigenspectra for redshifts, from the rest-frame training spectra or from model galaxies at any redshift."""

import logging
from functools import partial
from pathlib import Path

from tqdm import tqdm

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.products.members import Members
from sanspec.redshift import composites, eigen, eigenfit
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)

FILES = options.files("config", out="eigenspectra.h5 to write")


def arguments(parser) -> None:
    """The source: training spectra, or templates."""
    source = parser.add_mutually_exclusive_group(required=True)
    text = "prepared/spectra.h5: principal components of the training split"
    source.add_argument("--spectra", type=Path, metavar="FILE", help=text)
    text = "emiles.npz: principal components of composite populations, and emission lines"
    source.add_argument("--templates", type=Path, metavar="FILE", help=text)


def run(args) -> None:
    """Make the eigenspectra and write them."""
    settings = config.load(args.config)
    if args.spectra:
        found, facts = of_training_split(args.spectra, settings.redshift)
    else:
        library = open_library(args.templates)
        found = composites.eigenspectra(library, settings.measure.components)
        facts = {"source": "E-MILES composites"}
    made = store.provenance("eigenspectra", settings.redshift.model_dump(mode="json"), **facts)
    eigenfit.write_eigenspectra(args.out, found, made)
    limits = 10 ** found.loglam[[0, -1]]
    log.info("%d eigenspectra, %.0f-%.0f A in the rest frame", len(found.vectors), *limits)


def of_training_split(path: Path, settings: config.Redshift) -> tuple[eigenfit.Eigenspectra, dict]:
    """Eigenspectra of the training split, and how they were made. Raises SanspecError if it is too small."""
    train = Members(path, split="train", limit=settings.spectra).observed
    if len(train) <= settings.components:
        raise SanspecError(
            f"{path}: {len(train)} training spectra are too few for {settings.components} eigenspectra; "
            "lower redshift.components or prepare more galaxies"
        )
    progress = partial(tqdm, desc="eigenspectra", mininterval=1.0)
    found, explained = eigen.of_spectra(train, settings.components, progress)
    log.info("%d training spectra, %.4f of their weighted power explained", len(train), explained)
    return found, {"source": "training split", "spectra": len(train), "explained": explained}
