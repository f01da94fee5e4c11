"""Objects of one split read from the prepared products, and products of several stages put in one order."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float, UInt64

from sanspec import store
from sanspec.errors import SanspecError
from sanspec.spectra import grid

SPLITS = {"train": 0, "valid": 1, "test": 2}
MORPHOLOGIES = ("elliptical", "spiral", "uncertain")
NEIGHBOURS = ("nearest_image", "nearest_colour", "nearest_contrastive")  # training galaxies as predictions
PREDICTED = {
    "predicted": "flux",
    "predicted_mean": "mean",
    "predicted_medoid": "medoid",
}  # dataset of each kind


@dataclass(frozen=True)
class Sample:
    """Spectra of some objects, in the order of spectra.h5.

    rows: positions in spectra.h5; flux: normalised, observed frame, on grid.WAVE, NaN where masked; ivar:
    its inverse variance, 0 where masked.
    """

    rows: np.ndarray
    specobjid: UInt64[np.ndarray, " gal"]
    z: Float[np.ndarray, " gal"]
    flux: Float[np.ndarray, "gal pix"]
    ivar: Float[np.ndarray, "gal pix"]


def read_sample(path: Path, split: str, limit: int | None = None) -> Sample:
    """Spectra of a split, or `limit` of them evenly spread over it. Raises SanspecError when it is empty."""
    with store.arrays(path) as file:
        rows = split_rows(file, split, limit)
        ivar = take(file["ivar"], rows)
        flux = np.where(ivar > 0, take(file["flux"], rows), np.nan)
        return Sample(rows, file["specobjid"][:][rows], file["z"][:][rows], flux, ivar)


def read_predicted(
    path: Path, specobjid: UInt64[np.ndarray, " gal"]
) -> dict[str, Float[np.ndarray, "gal pix"]]:
    """Best draw, mean and medoid of every object from predicted.h5, in the given order."""
    with store.arrays(path) as file:
        rows = order(specobjid, file["specobjid"][:], path)
        return {kind: file[name][:][rows] for kind, name in PREDICTED.items()}


def split_rows(file: h5py.File, split: str, limit: int | None = None) -> np.ndarray:
    """Positions of a split's objects, or of `limit` evenly spread ones. Raises SanspecError without any."""
    rows = np.flatnonzero(file["split"][:] == SPLITS[split])
    if not len(rows):
        raise SanspecError(
            f"{file.filename}: no object in the {split} split; prepare more galaxies or enlarge it"
        )
    if limit is not None and limit < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]
    return rows


def check_images(spectra: h5py.File, images: h5py.File) -> None:
    """Raises SanspecError unless spectra.h5 and images.h5 hold the same objects in the same order."""
    if not np.array_equal(spectra["specobjid"][:], images["specobjid"][:]):
        raise SanspecError(
            f"{images.filename} holds other galaxies than {spectra.filename}: both must be of one prepare"
        )


def take(dataset: h5py.Dataset, rows: np.ndarray, block: int = 1024) -> np.ndarray:
    """Rows of a dataset, in ascending order, read block by block."""
    result = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
    for start in range(0, dataset.shape[0], block):
        inside = slice(*np.searchsorted(rows, [start, start + block]))
        if inside.start < inside.stop:
            first, last = rows[inside.start], rows[inside.stop - 1]
            result[inside] = dataset[first : last + 1][rows[inside] - first]
    return result


def ids(table: pd.DataFrame) -> UInt64[np.ndarray, " gal"]:
    """The specobjid column of a table, whatever integer type its format gave it."""
    return table["specobjid"].to_numpy().astype(np.uint64)


def aligned(path: Path, specobjid: UInt64[np.ndarray, " gal"]) -> pd.DataFrame:
    """Rows of a table for the given objects, in their order. Raises SanspecError when one is not there."""
    table = store.read_table(path)
    return table.iloc[order(specobjid, ids(table), path)].reset_index(drop=True)


def order(wanted: UInt64[np.ndarray, " gal"], have: UInt64[np.ndarray, " other"], where: Path) -> np.ndarray:
    """Positions in `have` of every id `wanted`. Raises SanspecError naming the file when one is not there."""
    sorter = np.argsort(have, kind="stable")
    places = np.searchsorted(have, wanted, sorter=sorter)
    positions = sorter[np.minimum(places, len(have) - 1)] if len(have) else np.zeros(len(wanted), np.int64)
    lacking = np.ones(len(wanted), bool) if not len(have) else have[positions] != wanted
    if lacking.any():
        raise SanspecError(
            f"{where}: {lacking.sum()} of {len(wanted)} test objects are not in it (specobjid "
            f"{wanted[lacking][0]} first): it is of another run; rerun the rule that makes it"
        )
    return positions


def read_correlation(path: Path, rows: np.ndarray) -> Float[np.ndarray, "gal lag pix"] | None:
    """Correlation of the noise of pixels p and p + 1 + lag; None where prepare stored none."""
    with store.arrays(path) as file:
        return take(file["correlation"], rows) if "correlation" in file else None


def read_lsf(path: Path, rows: np.ndarray) -> Float[np.ndarray, "gal pix"]:
    """FWHM of the line spread of observed spectra on grid.WAVE [Angstrom, observed frame]."""
    with store.arrays(path) as file:
        coarse, widths = file["coarse_wave"][:], take(file["lsf"], rows)
    return np.array([np.interp(grid.WAVE, coarse, row) for row in widths])


def read_predicted_lsf(path: Path, count: int) -> Float[np.ndarray, "gal pix"]:
    """The same of predicted spectra, whose line spread is one for all; a view repeated `count` times."""
    with store.arrays(path) as file:
        return np.broadcast_to(file["lsf"][:].astype(np.float64), (count, len(grid.WAVE)))


def noise_inflation(path: Path, rows: np.ndarray) -> float:
    """Factor by which noise correlation multiplies the variance of a smooth sum: median over some objects.

    1 where prepare stored no correlation.
    """
    correlation = read_correlation(path, rows)
    if correlation is None:
        return 1.0
    with store.arrays(path) as file:
        return float(np.median(inflation_of(correlation, take(file["ivar"], rows))))


def inflation_of(
    correlation: Float[np.ndarray, "gal lag pix"], ivar: Float[np.ndarray, "gal pix"]
) -> Float[np.ndarray, " gal"]:
    """The same factor of each object: median of 1 + 2 sum rho over its good pixels; 1 where it has none."""
    total = 1 + 2 * np.sum(np.nan_to_num(correlation.astype(np.float64)), axis=1)
    return np.array([np.median(row[good]) if good.any() else 1.0 for row, good in zip(total, ivar > 0)])
