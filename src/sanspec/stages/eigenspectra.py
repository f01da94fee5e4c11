"""Eigenspectra for redshifts: of the rest-frame training spectra, or of model galaxies at any redshift."""

import logging
from functools import partial
from pathlib import Path

from tqdm import tqdm

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.products import samples
from sanspec.redshift import composites, eigen, eigenfit
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)


FILES = options.files("config", out="eigenspectra.h5 to write")


def arguments(parser) -> None:
    """Options of the stage."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--spectra", type=Path, metavar="FILE", help="prepared/spectra.h5: components of its training split"
    )
    source.add_argument(
        "--templates", type=Path, metavar="FILE", help="emiles.npz: components of composites, and gas lines"
    )


def run(args) -> None:
    """Make the eigenspectra and write them."""
    settings = config.load(args.config)
    if args.spectra:
        found, facts = of_sample(args.spectra, settings.redshift)
    else:
        library = open_library(args.templates)
        found, facts = (
            composites.eigenspectra(library, settings.measure.components),
            {"source": "E-MILES composites"},
        )
    made = store.provenance("eigenspectra", settings.redshift.model_dump(mode="json"), **facts)
    eigenfit.write_templates(args.out, found, made)
    log.info(
        "%d eigenspectra, %.0f-%.0f A in the rest frame", len(found.vectors), *10 ** found.loglam[[0, -1]]
    )


def of_sample(path: Path, settings: config.Redshift) -> tuple[eigenfit.Templates, dict]:
    """Eigenspectra of the training split, and how they were made. Raises SanspecError if it is too small."""
    train = samples.read_sample(path, "train", settings.spectra)
    if len(train.z) <= settings.components:
        raise SanspecError(
            f"{path}: {len(train.z)} training spectra make no {settings.components} eigenspectra; "
            "lower redshift.components or prepare more galaxies"
        )
    loglam, flux, weight = eigen.rest_frame(
        train.flux, train.ivar, train.z, settings.error_floor, settings.pixel_coverage
    )
    progress = partial(tqdm, desc="eigenspectra", mininterval=1.0)
    vectors = eigen.empca(flux, weight, settings.components, settings.iterations, progress=progress)
    explained = eigen.explained(flux, weight, vectors)
    log.info("%d training spectra, %.4f of their weighted power explained", len(train.z), explained)
    return eigenfit.Templates(loglam, vectors), {
        "source": "training split",
        "spectra": len(train.z),
        "explained": explained,
    }
