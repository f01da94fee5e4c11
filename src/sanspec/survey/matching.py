"""The join of catalogue, cubes and spectra by specobjid: what is kept, what is lost, and why.

Duplicates: of rows with the same specobjid the first is kept, in the catalogue and in the cubes alike; of
spectra of the same photometric object (objid) the one with the highest snMedian_r, of equals the one with the
lowest specobjid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import UInt64

from sanspec.config import Match
from sanspec.errors import SanspecError, Warn, reasons
from sanspec.survey import sdss
from sanspec.survey.specfile import SpecObj

Ids = UInt64[np.ndarray, " cube"]
_Z_AGREES = 0.01  # between catalogue and spectrum file
_LOST = ("specobjid", "objid", "row", "file", "z", "warn", "reasons")
_FROM_FILE = ("z_err", "zwarning", "vdisp", "vdisp_err")  # where the catalogue has none


@dataclass(frozen=True)
class Matched:
    """objects: a row per kept object in the order of the cube file; lost: a row per lost one with `warn`."""

    objects: pd.DataFrame
    lost: pd.DataFrame


def count_reasons(warn: Iterable[int]) -> pd.DataFrame:
    """`reason` and `count` of Warn bits, most frequent first; an object with several bits counts for each."""
    names = [name for bits in warn for name in reasons(bits)]
    found, counts = np.unique(np.array(names, dtype=str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return pd.DataFrame({"reason": found[order], "count": counts[order].astype(np.int64)})


# --------------------------------------------------------------------------------------------------- the join


def join(catalogue: pd.DataFrame, cube_ids: Ids, files: pd.DataFrame) -> pd.DataFrame:
    """The catalogue's rows with `row` in the cube file (-1: none), `file` (empty: none) and `warn`."""
    ids, first = np.unique(cube_ids, return_index=True)
    table = _add_names(catalogue)
    place = np.minimum(np.searchsorted(ids, table["specobjid"]), max(len(ids) - 1, 0))
    found = ids[place] == table["specobjid"] if len(ids) else np.zeros(len(table), bool)
    table["row"] = np.where(found, first[place] if len(ids) else -1, -1).astype(np.int64)
    one_each = files.drop_duplicates(["plate", "mjd", "fiberid"])
    table = table.merge(one_each, how="left", on=["plate", "mjd", "fiberid"])
    table["file"] = table["file"].fillna("").astype(str)
    table["warn"] = np.zeros(len(table), dtype=np.uint32)
    mark(table, table["specobjid"].duplicated(), Warn.DUPLICATE)
    mark(table, table["row"] < 0, Warn.NO_CUBE)
    mark(table, table["file"] == "", Warn.UNREADABLE)
    return table


def _add_names(catalogue: pd.DataFrame) -> pd.DataFrame:
    """The catalogue with plate, mjd, fiberid and run2d as its specobjids have them."""
    parts = sdss.unpack(catalogue["specobjid"].to_numpy())
    names = [sdss.run_name(number) for number in parts["run2d"]]
    return catalogue.assign(plate=parts["plate"], mjd=parts["mjd"], fiberid=parts["fiberid"], run2d=names)


def mark(table: pd.DataFrame, which: Sequence[bool], bit: Warn) -> None:
    """Set a Warn bit in the rows where `which` holds."""
    table.loc[np.asarray(which, dtype=bool), "warn"] |= np.uint32(bit)


def strangers(catalogue: pd.DataFrame, cube_ids: Ids, files: pd.DataFrame) -> pd.DataFrame:
    """Cubes and spectra that no catalogue row names, and repeated cubes: columns of a lost table.

    A spectrum without a cube has specobjid 0 here: only its file name was read.
    """
    ids, first = np.unique(cube_ids, return_index=True)
    repeated = np.setdiff1d(np.arange(len(cube_ids)), first)
    unnamed = first[~np.isin(ids, catalogue["specobjid"].to_numpy())]
    known = {tuple(row) for row in _keys(np.concatenate([ids, catalogue["specobjid"].to_numpy()]))}
    loose = [file for *key, file in files.itertuples(index=False) if tuple(key) not in known]
    rows = np.concatenate([repeated, unnamed])
    warn = [Warn.DUPLICATE] * len(repeated) + [Warn.NO_CATALOGUE] * (len(unnamed) + len(loose))
    return pd.DataFrame(
        {
            "specobjid": np.concatenate([cube_ids[rows], np.zeros(len(loose), np.uint64)]),
            "objid": np.zeros(len(warn), np.uint64),
            "row": np.concatenate([rows, np.full(len(loose), -1)]).astype(np.int64),
            "file": np.array([""] * len(rows) + loose, dtype=object),
            "z": np.full(len(warn), np.nan),
            "warn": np.array(warn, dtype=np.uint32),
        }
    )


def _keys(specobjid: np.ndarray) -> np.ndarray:
    """plate, mjd, fiberid of ids, one row each."""
    parts = sdss.unpack(specobjid)
    return np.stack([parts["plate"], parts["mjd"], parts["fiberid"]], axis=1)


# ---------------------------------------------------------------------------------------------- the selection


def check_files(table: pd.DataFrame, abouts: Sequence[SpecObj | None], settings: Match) -> None:
    """Set the Warn bits of the spectra's headers and of the redshift window; fill columns from the headers.

    abouts: one a row, None where it could not be read. Raises SanspecError where the catalogue's redshifts
    are not those of the spectra.
    """
    read = np.array([about is not None for about in abouts], dtype=bool)
    mark(table, ~read, Warn.UNREADABLE)
    rows = list(zip(table["specobjid"], table["file"], abouts))
    wrong = [a is not None and (a.specobjid != int(key) or a.misnamed(file)) for key, file, a in rows]
    mark(table, wrong, Warn.WRONG_OBJECT)
    table["warn"] |= np.array([a.refusal if a else 0 for a in abouts], dtype=np.uint32)
    z = table["z"] = pd.to_numeric(table["z"], errors="coerce")
    mark(table, ~((z > settings.z_min) & (z <= settings.z_max)), Warn.OUTSIDE_Z)
    _check_redshifts(z[read & ~np.array(wrong)], [a.z for a, w in zip(abouts, wrong) if a and not w])
    for name in _FROM_FILE:
        if name not in table:
            table[name] = [getattr(a, name) if a else np.nan for a in abouts]
    if "snmedian_r" not in table:
        table["snmedian_r"] = [a.snr_r if a else np.nan for a in abouts]


def _check_redshifts(catalogue: pd.Series, spectra: Sequence[float]) -> None:
    """Raises SanspecError where most redshifts of the catalogue differ from those in the spectrum files."""
    differ = np.abs(catalogue.to_numpy() - np.array(spectra, dtype=float)) > _Z_AGREES
    if len(differ) and differ.mean() > 0.5:
        raise SanspecError(
            f"catalogue: column z is not the spectrum's redshift in {differ.sum()} of {len(differ)} files;"
            " check which z the query selected"
        )


def resolve_duplicates(table: pd.DataFrame, lose: Warn) -> None:
    """Mark DUPLICATE every acceptable spectrum of an objid but the best one; nothing to do without objid."""
    if "objid" not in table:
        return
    usable = table[(table["warn"] & np.uint32(lose)) == 0]
    best = usable.sort_values(["snmedian_r", "specobjid"], ascending=[False, True], na_position="last")
    beaten = best.index[best["objid"].duplicated()]
    mark(table, table.index.isin(beaten), Warn.DUPLICATE)


def losing(settings: Match) -> Warn:
    """The bits that lose an object: all but the tolerated ones."""
    return ~Warn(sum(Warn[name.upper()] for name in settings.tolerate))


def select(table: pd.DataFrame, others: pd.DataFrame, settings: Match) -> Matched:
    """Kept and lost objects. Raises SanspecError where nothing is kept."""
    lose = losing(settings)
    resolve_duplicates(table, lose)
    lost = (table["warn"] & np.uint32(lose)) != 0
    kept = table[~lost].sort_values("row", kind="stable").reset_index(drop=True)
    gone = pd.concat([table[lost].reindex(columns=others.columns), others], ignore_index=True)
    gone["objid"] = gone["objid"].fillna(0).astype(np.uint64)
    if not len(kept):
        counts = ", ".join(
            f"{reason} {count}" for reason, count in count_reasons(gone["warn"]).itertuples(index=False)
        )
        raise SanspecError(f"none of {len(table)} objects left ({counts}); check survey.* and match.*")
    gone["reasons"] = [", ".join(reasons(bits)) for bits in gone["warn"]]
    return Matched(kept, gone[list(_LOST)])
