"""Predicted spectra as files: predicted.h5, the table of scores, one FITS file a galaxy."""

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
from sanspec.nets.cascade import Draws, products

log = logging.getLogger(__name__)

PRODUCTS = {
    "flux": "the chosen draw: the best fine score among the draws of the kept coarse spectra",
    "mean": "mean over the unselected draws (without generate.spread: over the selected)",
    "medoid": "the draw nearest to the mean in log flux",
    "std": "standard deviation over those draws: the predictive spread, noise included",
    "low": "lower end of their central 68 % interval",
    "high": "upper end of it",
}


def fine_count(settings: Generate) -> int:
    """Fine draws a galaxy."""
    return settings.keep * settings.fine_draws + (settings.draws if settings.spread else 0)


def open_products(
    file: h5py.File,
    specobjid: UInt64[np.ndarray, " gal"],
    sky: dict[str, np.ndarray],
    settings: Generate,
    warn: UInt32[np.ndarray, " gal"],
) -> None:
    """Empty datasets for the products of all galaxies; rows that are never filled stay NaN, with their bit in
    `warn`.

    sky: `wave`, `coarse_wave` and `lsf_median` of spectra.h5.
    """
    count, pixels = len(specobjid), len(sky["wave"])
    store.put(file, "specobjid", specobjid, "gal")
    store.put(file, "warn", warn.astype(np.uint32), "gal", "", "Warn bits (errors.py)")
    store.put(file, "wave", sky["wave"], "pix", "Angstrom", "vacuum, observed frame")
    store.put(file, "coarse_wave", sky["coarse_wave"], "coarse", "Angstrom", "vacuum, observed frame")
    store.put(file, "lsf", sky["lsf_median"], "pix", "Angstrom", "FWHM: the median over the training split")
    for name, text in PRODUCTS.items():
        _empty(file, name, "gal pix", (count, pixels), np.float32, f"normalised flux: {text}")
    fine = fine_count(settings)
    _empty(
        file,
        "score_coarse",
        "gal draw",
        (count, settings.draws),
        np.float32,
        "cosine similarity with the image",
    )
    text = "redshift drawn for each coarse draw; NaN: none is (train.diff_coarse.redshift)"
    _empty(file, "z_draws", "gal draw", (count, settings.draws), np.float32, text)
    _empty(file, "score_fine", "gal draw", (count, fine), np.float32, "cosine similarity with the image")
    _empty(file, "parent", "gal draw", (count, fine), np.int16, "coarse draw that a fine draw belongs to")
    _empty(
        file,
        "selected",
        "gal draw",
        (count, fine),
        np.bool_,
        "whether that coarse draw was kept, so that this one may be chosen",
    )
    _empty(file, "best", "gal", (count,), np.int16, "chosen fine draw; -1: none")
    if settings.keep_draws:
        text = "natural log of normalised flux"
        _empty(
            file,
            "draws_coarse",
            "gal draw coarse",
            (count, settings.draws, len(sky["coarse_wave"])),
            np.float16,
            text,
        )
        _empty(file, "draws_fine", "gal draw pix", (count, fine, pixels), np.float16, text)


def _empty(file: h5py.File, name: str, axes: str, shape: tuple[int, ...], dtype, description: str) -> None:
    """A dataset of one-row chunks to be filled, of NaN, -1 or false."""
    dataset = store.put(file, name, None, axes, "", description, shape=shape, dtype=dtype)
    kind = np.dtype(dtype).kind
    for row in range(shape[0]):
        dataset[row] = {"f": np.nan, "i": -1, "b": False}[kind]


def put_draws(file: h5py.File, rows: Int[np.ndarray, " gal"], draws: Draws, settings: Generate) -> None:
    """The draws of some galaxies and their products into their rows; one without finite products gets a Warn
    bit.
    """
    made = products(draws, settings.spread)
    good = np.all([np.isfinite(flux).all(axis=1) for flux in made.values()], axis=0)
    columns = made | {
        "score_coarse": draws.score_coarse,
        "score_fine": draws.score_fine,
        "parent": draws.parent,
    }
    columns |= {"selected": draws.selected, "best": draws.best, "z_draws": draws.z}
    if settings.keep_draws:
        columns |= {"draws_coarse": draws.coarse, "draws_fine": draws.fine}
    for place, row in enumerate(rows):
        if not good[place]:
            file["warn"][row] |= np.uint32(Warn.NOT_GENERATED)
            continue
        for name, values in columns.items():
            file[name][row] = values[place]


def scores(file: h5py.File) -> pd.DataFrame:
    """One row for each draw of each galaxy: stage, draw, parent, score, whether it was kept or chosen."""
    ids, best = file["specobjid"][:], file["best"][:]
    coarse, fine, parent, selected = (
        file[name][:] for name in ("score_coarse", "score_fine", "parent", "selected")
    )
    kept = np.zeros(coarse.shape, bool)
    rows, places = np.nonzero(selected)
    kept[rows, parent[rows, places]] = True
    first = _long(ids, coarse, "coarse", np.broadcast_to(np.int16(-1), coarse.shape), kept)
    second = _long(ids, fine, "fine", parent, np.arange(fine.shape[1]) == best[:, None])
    return pd.concat([first, second], ignore_index=True).rename(columns={"marked": "chosen"})


def _long(
    ids: np.ndarray, score: np.ndarray, stage: str, parent: np.ndarray, marked: np.ndarray
) -> pd.DataFrame:
    """A matrix of scores (gal, draw) as rows of a table."""
    count, draws = score.shape
    columns = {
        "specobjid": np.repeat(ids, draws),
        "stage": stage,
        "draw": np.tile(np.arange(draws, dtype=np.int16), count),
    }
    return pd.DataFrame(
        columns | {"parent": parent.ravel(), "score": score.ravel(), "marked": marked.ravel()}
    )


def write_fits(folder: Path, file: h5py.File) -> None:
    """`<specobjid>.fits` for every galaxy with a spectrum, which specutils' `Spectrum.read` opens (its
    wcs1d-fits).

    Primary image: normalised flux of the chosen draw; STD: the predictive standard deviation; MEAN, MEDOID,
    LSF.
    """
    wave, ids, warn = file["wave"][:], file["specobjid"][:], file["warn"][:]
    made = np.flatnonzero(warn & np.uint32(Warn.NOT_GENERATED) == 0)
    for row in tqdm(made, desc="FITS", mininterval=1.0):
        with store.atomic(folder / f"{ids[row]}.fits") as temporary:
            _hdus(file, int(row), int(ids[row]), wave).writeto(temporary, overwrite=True)


def _hdus(file: h5py.File, row: int, specobjid: int, wave: np.ndarray) -> fits.HDUList:
    """The FITS extensions of one galaxy."""
    header = fits.Header()
    axis = {
        "CTYPE1": "WAVE",
        "CUNIT1": "Angstrom",
        "CRPIX1": 1.0,
        "CRVAL1": wave[0],
        "CDELT1": wave[1] - wave[0],
    }
    header.update(axis)
    header["BUNIT"] = ("", "flux density over its mean in the normalisation window")
    header["SPECSYS"] = ("HELIOCEN", "vacuum wavelengths, observed frame")
    primary = fits.PrimaryHDU(file["flux"][row], header=header)
    primary.header["OBJECT"] = (str(specobjid), "SDSS specobjid")
    primary.header["ORIGIN"] = (f"sanspec {__version__}", "predicted from an image, not observed")
    primary.header["WARN"] = (int(file["warn"][row]), "sanspec.errors.Warn bits")
    others = (
        ("STD", file["std"][row]),
        ("MEAN", file["mean"][row]),
        ("MEDOID", file["medoid"][row]),
        ("LSF", file["lsf"][:]),
    )
    images = [fits.ImageHDU(values.astype(np.float32), header=header, name=name) for name, values in others]
    images[-1].header["BUNIT"] = ("Angstrom", "FWHM of the line-spread function")
    return fits.HDUList([primary, *images])
