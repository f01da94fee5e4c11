"""Fit a quick stellar continuum, for emission lines of spectra without a population fit."""

import logging
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.features import starlight
from sanspec.products import samples
from sanspec.spectra import grid
from sanspec.stellar import models
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra templates", out="continua to write (.h5), in the layout of fitted spectra"
)


def arguments(parser) -> None:
    """Options of the stage."""
    parser.add_argument("--split", choices=samples.SPLITS, default="train", help="whose observed spectra")
    parser.add_argument(
        "--predicted", type=Path, metavar="FILE", help="generated/predicted.h5: these as well"
    )
    parser.add_argument(
        "--redshifts", type=Path, metavar="FILE", help="tables/redshift.ecsv, with --predicted"
    )


def run(args) -> None:
    """Fit the spectra of the split (of the training split as many as the settings say), write."""
    settings = config.load(args.config)
    limit = settings.agn.spectra if args.split == "train" else None
    sample = samples.read_sample(args.spectra, args.split, limit)
    lsf = samples.read_lsf(args.spectra, sample.rows)
    resolution = float(np.median(lsf[:, grid.WAVE.size // 2] / (1 + sample.z)))
    populations = starlight.bank(open_library(args.templates), resolution)
    fitted = [
        fit(kind, key, *spectrum, populations)
        for kind, spectra in sides(args, sample)
        for key, *spectrum in tqdm(list(zip(*spectra)), desc=f"starlight, {kind}", mininterval=1.0)
    ]
    models.write(args.out, fitted, store.provenance("starlight", split=args.split, fwhm_rest=resolution))
    missing = sum(bool(np.isnan(model.stars).all()) for model in fitted)
    log.info("%d continua, %d spectra without -> %s", len(fitted) - missing, missing, args.out)


def sides(args, sample: samples.Sample):
    """Kind, then specobjid, flux, inverse variance and redshift of its spectra."""
    yield "observed", (sample.specobjid, sample.flux, sample.ivar, sample.z)
    if args.predicted is None:
        return
    with store.arrays(args.predicted) as file:
        flux = file["flux"][:][samples.order(sample.specobjid, file["specobjid"][:], args.predicted)]
    z = samples.aligned(args.redshifts, sample.specobjid)["z_predicted"].to_numpy(np.float64)
    yield "predicted", (sample.specobjid, flux, np.isfinite(flux).astype(float), z)


def fit(kind: str, key: int, flux, ivar, z: float, populations: starlight.Bank) -> models.FittedSpectrum:
    """The continuum of one spectrum; no gas is fitted with it."""
    stars, _ = starlight.continuum(flux, ivar, z, populations)
    used = (ivar > 0) & np.isfinite(stars)
    return models.FittedSpectrum(int(key), kind, float(z), stars, np.where(used, 0.0, np.nan), used)
