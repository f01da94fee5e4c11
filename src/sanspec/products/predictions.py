"""Predicted spectra as files: predicted.h5, the table of scores, one FITS file per galaxy."""

import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from astropy.io import fits
from jaxtyping import Int, UInt32, UInt64
from tqdm import tqdm

from sanspec import __version__, store
from sanspec.config import Generate
from sanspec.errors import Warn

log = logging.getLogger(__name__)

PRODUCTS = {
    "flux": "the chosen draw, with the best fine score among the draws of the kept coarse spectra",
    "mean": "mean of the unselected draws (without generate.spread: of the selected draws)",
    "medoid": "the draw nearest to the mean in log flux",
    "std": "standard deviation of those draws: the predictive spread, including noise",
    "low": "lower end of their central 68 % interval",
    "high": "upper end of their central 68 % interval",
}
DATASETS = {"coarse": "draws_coarse", "fine": "draws_fine", "z": "z_draws"}  # of fields with another name
EMPTY = {"f": np.nan, "i": -1, "b": False}  # by kind of number


def open_products(
    file: h5py.File,
    specobjid: UInt64[np.ndarray, " gal"],
    sky: dict[str, np.ndarray],
    settings: Generate,
    warn: UInt32[np.ndarray, " gal"],
) -> None:
    """Create empty datasets for the products of all galaxies; rows that are never filled stay NaN, flagged in `warn`.

    sky: `wave`, `coarse_wave` and `lsf_median` of spectra.h5.
    """
    store.put(file, "specobjid", specobjid, "gal")
    store.put(file, "warn", warn.astype(np.uint32), "gal", "", "Warn bits (errors.py)")
    store.put(file, "wave", sky["wave"], "pix", "Angstrom", "vacuum, observed frame")
    store.put(file, "coarse_wave", sky["coarse_wave"], "coarse", "Angstrom", "vacuum, observed frame")
    store.put(file, "lsf", sky["lsf_median"], "pix", "Angstrom", "FWHM: the median over the training split")
    pixels, coarse = len(sky["wave"]), settings.draws
    fine = settings.keep * settings.fine_draws + (coarse if settings.spread else 0)
    score = "cosine similarity with the image"
    drawn = "redshift drawn for each coarse draw; NaN: none is (train.diff_coarse.redshift)"
    # fmt: off
    table = [
        *((name, "gal pix", (pixels,), np.float32, f"normalised flux: {text}") for name, text in PRODUCTS.items()),
        ("score_coarse", "gal draw", (coarse,), np.float32, score),
        ("z_draws",      "gal draw", (coarse,), np.float32, drawn),
        ("score_fine",   "gal draw", (fine,),   np.float32, score),
        ("parent",       "gal draw", (fine,),   np.int16,   "coarse draw of a fine draw"),
        ("selected",     "gal draw", (fine,),   np.bool_,   "whether that coarse draw was kept, so this may be chosen"),
        ("best",         "gal",      (),        np.int16,   "chosen fine draw; -1: none"),
    ]
    # fmt: on
    if settings.keep_draws:
        text = "natural log of normalised flux"
        table += [
            ("draws_coarse", "gal draw coarse", (coarse, len(sky["coarse_wave"])), np.float16, text),
            ("draws_fine", "gal draw pix", (fine, pixels), np.float16, text),
        ]
    for name, axes, shape, dtype, text in table:
        shape = len(specobjid), *shape
        dataset = store.put(file, name, None, axes, "", text, shape=shape, dtype=dtype)
        for row in range(len(specobjid)):
            dataset[row] = EMPTY[np.dtype(dtype).kind]


def put_draws(
    file: h5py.File,
    rows: Int[np.ndarray, " gal"],
    draws: dict[str, np.ndarray],
    made: dict[str, np.ndarray],
    keep_draws: bool,
) -> None:
    """Write the draws of some galaxies and their products into `rows`; without finite products, a Warn bit.

    draws: the fields of `nets.cascade.Draws`; made: those of PRODUCTS.
    """
    good = np.all([np.isfinite(flux).all(axis=1) for flux in made.values()], axis=0)
    columns = made | {DATASETS.get(name, name): values for name, values in draws.items()}
    for place, row in enumerate(rows):
        if not good[place]:
            file["warn"][row] |= np.uint32(Warn.NOT_GENERATED)
            continue
        for name, values in columns.items():
            if keep_draws or name not in ("draws_coarse", "draws_fine"):
                file[name][row] = values[place]


def scores(file: h5py.File) -> pd.DataFrame:
    """One row per draw and galaxy: stage, draw, parent, score, and whether it was kept (coarse) or chosen (fine)."""
    ids, best = file["specobjid"][:], file["best"][:]
    coarse, fine = file["score_coarse"][:], file["score_fine"][:]
    parent, selected = file["parent"][:], file["selected"][:]
    kept = np.zeros(coarse.shape, bool)
    rows, places = np.nonzero(selected)
    kept[rows, parent[rows, places]] = True
    stages = (
        ("coarse", coarse, np.broadcast_to(np.int16(-1), coarse.shape), kept),
        ("fine", fine, parent, np.arange(fine.shape[1]) == best[:, None]),
    )
    parts = []
    for stage, score, above, chosen in stages:
        count, draws = score.shape
        columns = {"specobjid": np.repeat(ids, draws), "stage": stage}
        columns |= {"draw": np.tile(np.arange(draws, dtype=np.int16), count), "parent": above.ravel()}
        parts.append(pd.DataFrame(columns | {"score": score.ravel(), "chosen": chosen.ravel()}))
    return pd.concat(parts, ignore_index=True)


def write_fits(folder: Path, file: h5py.File) -> None:
    """Write `<specobjid>.fits` for every galaxy with a spectrum, for specutils' `Spectrum.read` (format wcs1d-fits).

    Primary image: normalised flux of the chosen draw; STD: the predictive standard deviation; MEAN, MEDOID, LSF.
    """
    wave, ids, warn = file["wave"][:], file["specobjid"][:], file["warn"][:]
    made = np.flatnonzero(warn & np.uint32(Warn.NOT_GENERATED) == 0)
    for row in tqdm(made, desc="FITS", mininterval=1.0):
        with store.atomic(folder / f"{ids[row]}.fits") as temporary:
            _hdus(file, int(row), int(ids[row]), wave).writeto(temporary, overwrite=True)


def _hdus(file: h5py.File, row: int, specobjid: int, wave: np.ndarray) -> fits.HDUList:
    """The FITS extensions of one galaxy."""
    header = fits.Header({"CTYPE1": "WAVE", "CUNIT1": "Angstrom", "CRPIX1": 1.0})
    header.update({"CRVAL1": wave[0], "CDELT1": wave[1] - wave[0]})
    header["BUNIT"] = ("", "flux density over its mean in the normalisation window")
    header["SPECSYS"] = ("HELIOCEN", "vacuum wavelengths, observed frame")
    primary = fits.PrimaryHDU(file["flux"][row], header=header)
    primary.header["OBJECT"] = (str(specobjid), "SDSS specobjid")
    primary.header["ORIGIN"] = (f"sanspec {__version__}", "predicted from an image, not observed")
    primary.header["WARN"] = (int(file["warn"][row]), "sanspec.errors.Warn bits")
    others = {name: file[name][row] for name in ("std", "mean", "medoid")} | {"lsf": file["lsf"][:]}
    images = [fits.ImageHDU(np.float32(others[name]), header=header, name=name.upper()) for name in others]
    images[-1].header["BUNIT"] = ("Angstrom", "FWHM of the line-spread function")
    return fits.HDUList([primary, *images])
