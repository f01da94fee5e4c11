"""The catalogue query, Appendix B of Doorenbos et al. 2024, as printed and corrected; its cuts in numpy.

The paper's clause "not BAD_COUNTS_ERROR" holds the mask of INTERP_CENTER (0x100000000000): as printed
every INTERP_CENTER object is dropped, BAD_COUNTS_ERROR (0x10000000000) is never tested, and the next clause
is void.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

import numpy as np
import pandas as pd
from jaxtyping import Bool

BANDS = "ugriz"
FORMS = ("corrected", "as_printed")
OBJID = {"list": "SP.objID", "best": "S.bestObjID"}  # where the query finds the photometric object

PEAKCENTER, NOTCHECKED, NOPROFILE, CR = 0x20, 0x80000, 0x80, 0x1000
SATURATED, BINNED1 = 0x40000, 0x10000000
DEBLEND_NOPEAK, PSF_FLUX_INTERP = 0x400000000000, 0x800000000000
INTERP_CENTER, BAD_COUNTS_ERROR = 0x100000000000, 0x10000000000
_INTERPOLATION = {"as_printed": INTERP_CENTER, "corrected": BAD_COUNTS_ERROR}


@dataclass(frozen=True)
class Column:
    """One column: name in the answer, SQL expression, kind (id, int, real, text), and if the paper has it."""

    name: str
    sql: str
    kind: str
    printed: bool = True

    @property
    def selected(self) -> str:
        """The column as a SELECT list has it."""
        return self.sql if self.sql.split(".")[-1] == self.name else f"{self.sql} as {self.name}"


with resources.files("sanspec.database").joinpath("sql/columns.csv").open() as _file:
    COLUMNS = tuple(
        Column(row["name"], row["sql"], row["kind"], row["printed"] == "1") for row in csv.DictReader(_file)
    )
NAMES = tuple(column.name for column in COLUMNS)
# Guards, last in every row of an answer: a row cut short loses them. TOTAL holds the number of rows.
END = Column("fin", "'end'", "text", False)
TOTAL_FROM = 10**9  # of one width, so that a number cut short is no number of rows
TOTAL = Column("n_rows", f"{TOTAL_FROM}+COUNT(*) OVER()", "int", False)
TABLE = (*COLUMNS, END)  # what the table in MyDB holds


def render(
    table: str,
    sample: str | None,
    z_min: float,
    z_max: float,
    form: str = "either",
    *,
    added: bool = True,
    best: bool = False,
) -> str:
    """The query for CasJobs: INTO mydb.`table`, joined to the uploaded list MyDB.`sample` (None: no list).

    form: "as_printed", "corrected", or "either": rows that pass one of the two, for `passes` to choose from.
    added: with the columns that later steps need. best: take the photometric object from SpecObj, not the list.
    """
    wanted = [column for column in COLUMNS if added or column.printed] + ([END] if added else [])
    select = ",\n    ".join(column.selected for column in wanted)
    sources = f"JOIN PhotoObjAll as P ON {OBJID['best' if best or sample is None else 'list']} = P.objID"
    if sample is None:
        sources = f"SpecObj as S\n    {sources}"
    else:
        sources = f"MyDB.{sample} as SP\n    JOIN SpecObj as S ON SP.specObjID = S.specObjID\n    {sources}"
    return _template("catalogue.sql").substitute(
        columns=select, table=table, sources=sources, z_min=z_min, z_max=z_max, interpolation=_clause(form)
    )


def _clause(form: str) -> str:
    """The two clauses about interpolation of one form, or of either."""
    if form == "either":
        return f"(({_clause('as_printed')}) OR ({_clause('corrected')}))"
    mask = _INTERPOLATION[form]
    both = f"((flags_r & {INTERP_CENTER:#x}) = 0 OR (flags_r & {CR:#x}) = 0)"
    return f"(flags_r & {mask:#x}) = 0 AND {both}"


# Tables of the paper's inner join: with all of them, each group of columns has the same rows.
_INNER = {
    "Z": "zooSpec",
    "M": "stellarMassPassivePort",
    "CD": "stellarMassFSPSGranWideDust",
    "CND": "stellarMassFSPSGranWideNoDust",
}


def render_anonymous(columns: Sequence[Column], first: int, last: int, z_min: float, z_max: float) -> str:
    """A query short enough for SkyServer: `columns` of specObjID in [first, last], cuts left to `passes`."""
    joins = " ".join(
        f"JOIN {table} {alias} ON {alias}.specObjID=S.specObjID" for alias, table in _INNER.items()
    )
    text = _template("slice.sql").substitute(
        columns=",".join(column.selected for column in (*columns, TOTAL)),
        joins=joins,
        first=first,
        last=last,
        z_min=z_min,
        z_max=z_max,
    )
    bare = " ".join(re.sub(r"--[^\n]*", " ", text).split())  # without comments and needless white space
    return re.sub(r"\s*([,=<>()&])\s*", r"\1", bare)


def _template(name: str) -> Template:
    """A SQL text of the package."""
    return Template(resources.files("sanspec.database").joinpath("sql", name).read_text())


def passes(rows: pd.DataFrame, form: str, z_min: float, z_max: float) -> Bool[np.ndarray, " gal"]:
    """Which rows pass the WHERE clause of the query in one form; a NULL (NaN) fails, as in SQL.

    rows: columns as in `COLUMNS`, ids and flags as uint64. The conditions on class and mode are not tested.
    """
    flags = rows["flags_r"].to_numpy(np.uint64)

    def clear(mask: int) -> np.ndarray:
        """Where none of a mask's bits is set."""
        return (flags & np.uint64(mask)) == 0

    noisy = clear(DEBLEND_NOPEAK) | (rows["psfMagErr_r"].to_numpy() <= 0.2)
    interpolated = clear(_INTERPOLATION[form]) & (clear(INTERP_CENTER) | clear(CR))
    detected = ~clear(BINNED1) & clear(SATURATED) & clear(NOPROFILE)
    inside = (rows["z"].to_numpy() >= z_min) & (rows["z"].to_numpy() <= z_max)
    instrument = rows["instrument"].to_numpy(dtype=object) == "SDSS"
    flagged = clear(PEAKCENTER) & clear(NOTCHECKED) & clear(PSF_FLUX_INTERP)
    radii = rows[[f"{name}_{band}" for name in ("petroRad", "petroR90") for band in BANDS]].to_numpy(float)
    mags = rows[[f"{name}_{band}" for name in ("fiberMag", "modelMag", "cmodelMag") for band in BANDS]]
    meaningful = ((radii > 0) & (radii < 20)).all(axis=1) & (mags.to_numpy(float) > 0).all(axis=1)
    return inside & instrument & flagged & noisy & interpolated & detected & meaningful


def groups(length: int, cost) -> list[list[Column]]:
    """Columns in as few groups as possible, each with specObjID, so that `cost(group)` stays within `length`.

    cost: encoded length of the query for a group. Raises ValueError where one column alone is too long.
    """
    key, *others = COLUMNS
    result = [[key]]
    for column in others:
        if cost([*result[-1], column]) > length:
            result.append([key])
            if cost([key, column]) > length:
                raise ValueError(f"a query for {column.name} alone is longer than {length}")
        result[-1].append(column)
    return result
