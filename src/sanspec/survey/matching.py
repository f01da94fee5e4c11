"""The join of catalogue, cubes and spectra by specobjid: what is kept, what is lost, and why.

Duplicates: of rows with the same specobjid the first is kept, both in the catalogue and in the cubes. Of
spectra of the same photometric object (objid) the one with the highest snMedian_r is kept, and of equals the
one with the lowest specobjid.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import UInt64

from sanspec.config import Match
from sanspec.errors import SanspecError, Warn, reasons
from sanspec.survey import sdss
from sanspec.survey.specfile import SpecObj

Ids = UInt64[np.ndarray, " cube"]
_Z_AGREES = 0.01  # maximum difference between catalogue and spectrum file
_LOST = ("specobjid", "objid", "row", "file", "z", "warn", "reasons")
_FROM_FILE = ("z_err", "zwarning", "vdisp", "vdisp_err")  # where the catalogue has none


def count_reasons(warn: Iterable[int]) -> pd.DataFrame:
    """`reason` and `count` of Warn bits, most frequent first; an object with several bits counts for each."""
    names = [name for bits in warn for name in reasons(bits)]
    found, counts = np.unique(np.array(names, dtype=str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return pd.DataFrame({"reason": found[order], "count": counts[order].astype(np.int64)})


# --------------------------------------------------------------------------------------------------- the join


def join(catalogue: pd.DataFrame, cube_ids: Ids, files: pd.DataFrame) -> pd.DataFrame:
    """The catalogue with `row` in the cube file (-1: none), `file` of the spectrum (empty: none) and `warn`."""
    ids, first = np.unique(cube_ids, return_index=True)
    parts = sdss.unpack(catalogue["specobjid"].to_numpy())
    parts["run2d"] = [sdss.run_name(number) for number in parts["run2d"]]
    table = catalogue.assign(**{name: parts[name] for name in ("plate", "mjd", "fiberid", "run2d")})
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


def mark(table: pd.DataFrame, which: Sequence[bool], bit: Warn) -> None:
    """Set a Warn bit in the rows where `which` holds."""
    table.loc[np.asarray(which, dtype=bool), "warn"] |= np.uint32(bit)


def strangers(catalogue: pd.DataFrame, cube_ids: Ids, files: pd.DataFrame) -> pd.DataFrame:
    """Cubes and spectra without a catalogue row, and repeated cubes, with the columns of the lost table.

    A spectrum without a cube has specobjid 0: only its file name was read.
    """
    ids, first = np.unique(cube_ids, return_index=True)
    repeated = np.setdiff1d(np.arange(len(cube_ids)), first)
    unnamed = first[~np.isin(ids, catalogue["specobjid"].to_numpy())]
    parts = sdss.unpack(np.concatenate([ids, catalogue["specobjid"].to_numpy()]))
    known = set(zip(*(parts[name].tolist() for name in ("plate", "mjd", "fiberid"))))
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


# ---------------------------------------------------------------------------------------------- the selection


def check_files(table: pd.DataFrame, abouts: Sequence[SpecObj | None], settings: Match) -> None:
    """Set the Warn bits of the spectra's headers and of the redshift window; add columns from the headers.

    abouts: one per row, None where unreadable. Raises SanspecError where the catalogue's redshifts
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
    inside = np.array([a.z for a, w in zip(abouts, wrong) if a and not w], dtype=float)
    differ = np.abs(z[read & ~np.array(wrong)].to_numpy() - inside) > _Z_AGREES
    if len(differ) and differ.mean() > 0.5:
        raise SanspecError(
            f"catalogue: column z is not the spectrum's redshift in {differ.sum()} of {len(differ)} files;"
            " check which z the query selected"
        )
    for name in _FROM_FILE:
        if name not in table:
            table[name] = [getattr(a, name) if a else np.nan for a in abouts]
    if "snmedian_r" not in table:
        table["snmedian_r"] = [a.snr_r if a else np.nan for a in abouts]


def select(table: pd.DataFrame, others: pd.DataFrame, settings: Match) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kept objects in the order of the cube file, and lost objects. Raises SanspecError where nothing is kept.

    Every Warn bit loses an object except the tolerated ones.
    """
    lose = np.uint32(~Warn(sum(Warn[name.upper()] for name in settings.tolerate)))
    if "objid" in table:
        usable = table[(table["warn"] & lose) == 0]
        best = usable.sort_values(["snmedian_r", "specobjid"], ascending=[False, True], na_position="last")
        mark(table, table.index.isin(best.index[best["objid"].duplicated()]), Warn.DUPLICATE)
    lost = (table["warn"] & lose) != 0
    kept = table[~lost].sort_values("row", kind="stable").reset_index(drop=True)
    gone = pd.concat([table[lost].reindex(columns=others.columns), others], ignore_index=True)
    gone["objid"] = gone["objid"].fillna(0).astype(np.uint64)
    if not len(kept):
        counts = ", ".join(f"{reason} {count}" for reason, count in count_reasons(gone["warn"]).to_numpy())
        raise SanspecError(f"none of {len(table)} objects left ({counts}); check survey.* and match.*")
    gone["reasons"] = [", ".join(reasons(bits)) for bits in gone["warn"]]
    return kept, gone[list(_LOST)]
