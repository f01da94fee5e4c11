"""The prepared files: their datasets, and what is computed over the training objects in them."""

from collections.abc import Iterator

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float, Int8

from sanspec import store
from sanspec.spectra import grid
from sanspec.spectra.preparing import PreparedBlock
from sanspec.survey import cubes, cutouts
from sanspec.survey.splits import TRAIN

FLUX_UNIT = "1e-17 erg / (s cm2 Angstrom)"
_ROWS = 8  # objects per HDF5 chunk
_COLUMNS = 64  # read at a time for a median over objects
_SPECTRA = {  # dataset: axes, type, unit, description
    "specobjid": ("gal", "u8", "", "SDSS specobjid, the key"),
    "split": ("gal", "i1", "", "0 train, 1 valid, 2 test, -1 unused: a bit of warn says why"),
    "z": ("gal", "f8", "", "redshift of the catalogue"),
    "z_err": ("gal", "f8", "", "its error"),
    "warn": ("gal", "u4", "", "bits of sanspec.errors.Warn"),
    "norm": ("gal", "f8", FLUX_UNIT, "what the normalised flux is in units of"),
    "snr": ("gal", "f4", "", "median signal to noise of the native pixels"),
    "flux": ("gal pix", "f4", "", "normalised flux, observed frame; interpolated where masked"),
    "ivar": ("gal pix", "f4", "", "inverse variance of flux; 0: masked"),
    "log_flux": ("gal pix", "f4", "", "natural logarithm of flux, gaps interpolated"),
    "mask": ("gal pix", "?", "", "true where log_flux was measured"),
    "coarse_log_flux": ("gal coarse", "f4", "", "mean of the measured log_flux in each block of 8 pixels"),
    "coarse_mask": ("gal coarse", "?", "", "true where the block has a measured pixel"),
    "lsf": ("gal coarse", "f4", "Angstrom", "FWHM of the line-spread function, observed frame"),
}
_CORRELATION = ("gal lag pix", "f2", "", "noise correlation of pixels p and p + 1 + lag; 0 where not stored")


def blocks(count: int, size: int) -> Iterator[slice]:
    """Slices that cut `count` rows into blocks of `size`."""
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def lay_out_spectra(file: h5py.File, table: pd.DataFrame, lags: int) -> None:
    """Empty datasets of spectra.h5 (no correlation where `lags` is 0), its grids and its keys."""
    sizes = {"gal": len(table), "pix": len(grid.WAVE), "coarse": len(grid.coarse_wave()), "lag": lags}
    datasets = _SPECTRA | ({"correlation": _CORRELATION} if lags else {})
    for name, (axes, dtype, unit, text) in datasets.items():
        shape = tuple(sizes[axis] for axis in axes.split())
        rows = 4096 if axes == "gal" else _ROWS
        store.put(file, name, None, axes, unit, text, shape=shape, dtype=dtype, rows=rows)
    store.put(file, "wave", grid.WAVE, "pix", "Angstrom", "vacuum, observed frame")
    store.put(file, "coarse_wave", grid.coarse_wave(), "coarse", "Angstrom", "vacuum, observed frame")
    for name in ("specobjid", "z", "z_err"):
        file[name][:] = table[name].to_numpy()


def lay_out_images(file: h5py.File, table: pd.DataFrame) -> None:
    """The empty dataset of images.h5, and its key."""
    shape = (len(table), len(cubes.BANDS), cubes.SIDE, cubes.SIDE)
    text = "bands ugriz, 0.396 arcsec a pixel"
    store.put(file, "images", None, "gal band y x", "nmgy", text, shape=shape, dtype="f2", rows=_ROWS)
    ids = table["specobjid"].to_numpy()
    store.put(file, "specobjid", ids, "gal", "", "SDSS specobjid, rows as in spectra.h5")


def write_block(file: h5py.File, rows: slice, block: PreparedBlock, correlation: bool) -> None:
    """Put a block of spectra into its rows; warn and split come when all are known."""
    names = ["norm", "snr", "flux", "ivar", "log_flux", "mask", "coarse_log_flux", "coarse_mask", "lsf"]
    for name in names + ["correlation"] * correlation:
        file[name][rows] = getattr(block, name)


# ------------------------------------------------------------------------------------ over the training split


def write_spectra_statistics(file: h5py.File, split: Int8[np.ndarray, " gal"], size: int) -> None:
    """Add the mean log spectra, fine and coarse, and the median LSF of the training objects."""
    train = split == TRAIN
    for kind, axis in (("", "pix"), ("coarse_", "coarse")):
        mean = _masked_mean(file[f"{kind}log_flux"], file[f"{kind}mask"], train, size)
        store.put(file, f"{kind}log_flux_mean", mean, axis, "", "mean over the training split")
    median = np.interp(grid.WAVE, grid.coarse_wave(), _median(file["lsf"], train))
    text = "median FWHM of the training split, observed frame: the LSF of predicted spectra"
    store.put(file, "lsf_median", median, "pix", "Angstrom", text)


def _masked_mean(values: h5py.Dataset, mask: h5py.Dataset, train: np.ndarray, size: int) -> np.ndarray:
    """Mean over the training objects of the measured pixels; interpolated where none was measured."""
    total, count = np.zeros(values.shape[1]), np.zeros(values.shape[1], dtype=np.int64)
    for rows in blocks(len(train), size):
        use = mask[rows] & train[rows, None]
        total += np.where(use, values[rows], 0.0).sum(axis=0, dtype=np.float64)
        count += use.sum(axis=0)
    pixel = np.arange(len(count))
    return np.interp(pixel, pixel[count > 0], total[count > 0] / count[count > 0])


def _median(values: h5py.Dataset, train: np.ndarray) -> np.ndarray:
    """Median over the training objects, a few columns at a time."""
    columns = (values[:, columns][train] for columns in blocks(values.shape[1], _COLUMNS))
    return np.concatenate([np.nanmedian(part, axis=0) for part in columns])


def image_statistics(
    file: h5py.File, split: Int8[np.ndarray, " gal"], noise: Float[np.ndarray, "gal band"], size: int
) -> dict:
    """Softening, mean and standard deviation per band over the training images.

    softening: median noise of the sky per pixel [nanomaggies]. mean, std: of asinh(image / softening).
    """
    train = split == TRAIN
    softening = np.median(noise[train], axis=0)
    moments = cutouts.Moments(softening)
    for rows in blocks(len(train), size):
        if train[rows].any():
            moments.add(file["images"][rows][train[rows]])
    mean, std = moments.result()
    return {"bands": list(cubes.BANDS), "softening": softening, "mean": mean, "std": std}
