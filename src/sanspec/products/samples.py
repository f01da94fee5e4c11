"""Rows of the prepared products: those of a split, and products of several stages brought into one order."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from jaxtyping import UInt64

from sanspec import store
from sanspec.errors import SanspecError

SPLITS = {"train": 0, "valid": 1, "test": 2}
MORPHOLOGIES = ("elliptical", "spiral", "uncertain")


def split_rows(file: h5py.File, split: str, limit: int | None = None) -> np.ndarray:
    """Positions of the objects of a split, or of `limit` evenly spread ones. Raises SanspecError if it is empty."""
    rows = np.flatnonzero(file["split"][:] == SPLITS[split])
    if not len(rows):
        raise SanspecError(f"{file.filename}: no object in the {split} split; prepare more or enlarge it")
    if limit is not None and limit < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]
    return rows


def check_images(spectra: h5py.File, images: h5py.File) -> None:
    """Raises SanspecError unless spectra.h5 and images.h5 hold the same objects in the same order."""
    if not np.array_equal(spectra["specobjid"][:], images["specobjid"][:]):
        raise SanspecError(f"{images.filename} holds other galaxies than {spectra.filename}: prepare again")


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
    """The specobjid column of a table as uint64, whatever integer type its file format gave it."""
    return table["specobjid"].to_numpy().astype(np.uint64)


def aligned(path: Path, specobjid: UInt64[np.ndarray, " gal"]) -> pd.DataFrame:
    """Rows of a table for the given objects, in their order. Raises SanspecError if one is missing."""
    table = store.read_table(path)
    return table.iloc[order(specobjid, ids(table), path)].reset_index(drop=True)


def order(wanted: UInt64[np.ndarray, " gal"], have: UInt64[np.ndarray, " other"], where: Path) -> np.ndarray:
    """Positions in `have` of every id `wanted`. Raises SanspecError, which names the file, if one is missing."""
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
