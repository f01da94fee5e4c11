"""Fit a quick stellar continuum to spectra without a population fit, with --predicted to predicted ones as well."""

import logging

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.features import starlight
from sanspec.products import samples
from sanspec.products.members import Members
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra
from sanspec.stellar import models
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)

FILES = options.files("config spectra templates", out="continua to write, as fitted spectra (.h5)")
OPTIONAL = options.files("predicted redshifts")


def arguments(parser) -> None:
    """Options of the stage."""
    parser.add_argument("--split", choices=samples.SPLITS, default="train", help="split of the spectra")


def run(args) -> None:
    """Fit the spectra of the split (of the training split as many as the settings say), write."""
    settings = config.load(args.config)
    limit = settings.agn.spectra if args.split == "train" else None
    members = Members(args.spectra, args.predicted, redshifts=args.redshifts, split=args.split, limit=limit)
    observed = members.observed
    resolution = float(np.median(observed.lsf[:, grid.WAVE.size // 2] / (1 + observed.z)))
    populations = starlight.bank(open_library(args.templates), resolution)
    sides = [(observed, observed.ivar)]
    if args.predicted is not None:
        predicted = members.predictor("predicted")
        sides.append((predicted, np.isfinite(predicted.flux).astype(float)))
    fitted = [
        fit(spectra, row, ivar[row], populations)
        for spectra, ivar in sides
        for row in tqdm(range(len(spectra)), desc=f"starlight, {spectra.kind}", mininterval=1.0)
    ]
    models.write(args.out, fitted, store.provenance("starlight", split=args.split, fwhm_rest=resolution))
    missing = sum(bool(np.isnan(model.stars).all()) for model in fitted)
    log.info("%d continua, %d spectra without -> %s", len(fitted) - missing, missing, args.out)


def fit(
    spectra: Spectra, row: int, ivar: Float[np.ndarray, " pix"], populations: starlight.Bank
) -> models.FittedSpectrum:
    """The continuum of one of the spectra; no gas is fitted with it."""
    z = float(spectra.z[row])
    stars, _ = starlight.continuum(spectra.flux[row], ivar, z, populations)
    used = (ivar > 0) & np.isfinite(stars)
    key = int(spectra.specobjid[row]), spectra.kind
    return models.FittedSpectrum(*key, z, stars, np.where(used, 0.0, np.nan), used)
