"""The catalogue's query, Appendix B of Doorenbos et al. 2024, as printed and corrected; its cuts in numpy.

The paper's clause "not BAD_COUNTS_ERROR" holds the mask of INTERP_CENTER (0x100000000000): as printed
every INTERP_CENTER object is dropped, BAD_COUNTS_ERROR (0x10000000000) is never tested, and the next clause
is void.
"""

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
OBJID = {"list": "SP.objID", "best": "S.bestObjID"}  # where the photometric object is named

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


def _photometric(name: str) -> list[Column]:
    """A quantity of PhotoObjAll in the five bands."""
    return [Column(f"{name}_{band}", f"P.{name}_{band}", "real") for band in BANDS]


_ZOO = ("p_mg", "p_el_debiased", "p_cs_debiased")
_VOTES = ("spiral", "elliptical", "uncertain")
COLUMNS: tuple[Column, ...] = (
    Column("specObjID", "S.specObjID", "id"),
    Column("objID", "P.objID", "id"),
    Column("ra", "P.ra", "real"),
    Column("dec", "P.dec", "real"),
    *(Column(name, f"S.{name}", "text") for name in ("firstrelease", "programname", "instrument", "run2d")),
    *(Column(name, f"S.{name}", "real") for name in ("z", "zerr", "velDisp", "velDispErr")),
    *_photometric("petroRad"),
    *_photometric("petroR90"),
    *_photometric("fiberMag"),
    Column("extinction_r", "P.extinction_r", "real"),
    Column("plateSN2", "S.plateSN2", "real"),
    *_photometric("modelMag"),
    *_photometric("cmodelMag"),
    *(Column(name, f"Z.{name}", "real") for name in _ZOO),
    *(Column(name, f"Z.{name}", "int") for name in _VOTES),
    Column("logMass_Maraston09", "M.logMass", "real"),
    Column("logMass_ConroyDust", "CD.logMass", "real"),
    Column("logMass_ConroyNoDust", "CND.logMass", "real"),
    *(Column(name, f"S.{name}", "int", False) for name in ("plate", "mjd", "fiberID", "zWarning")),
    *(Column(name, f"S.{name}", "text", False) for name in ("subClass", "class")),
    Column("snMedian_r", "S.snMedian_r", "real", False),
    Column("bestObjID", "S.bestObjID", "id", False),
    *(Column(f"extinction_{band}", f"P.extinction_{band}", "real", False) for band in "ugiz"),
    Column("petroMag_r", "P.petroMag_r", "real", False),
    Column("petroR50_r", "P.petroR50_r", "real", False),
    Column("flags_r", "P.flags_r", "id", False),
    Column("psfMagErr_r", "P.psfMagErr_r", "real", False),
)
NAMES = tuple(column.name for column in COLUMNS)
# Guards, the last column of an answer: a row cut short loses them; the second tells how many rows there are.
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

    form: "as_printed", "corrected", or "either", which lets pass what one of the two does and leaves the
    choice to `passes`. added: with the columns that later steps need. best: the photometric object is the one
    that SpecObj names, not the list's.
    """
    wanted = [column for column in COLUMNS if added or column.printed] + ([END] if added else [])
    select = ",\n    ".join(column.selected for column in wanted)
    joins = _sources(sample, best or sample is None)
    return _template("catalogue.sql").substitute(
        columns=select, table=table, sources=joins, z_min=z_min, z_max=z_max, interpolation=_clause(form)
    )


def _sources(sample: str | None, best: bool) -> str:
    """FROM and JOIN up to PhotoObjAll."""
    photometry = f"JOIN PhotoObjAll as P ON {OBJID['best' if best else 'list']} = P.objID"
    if sample is None:
        return f"SpecObj as S\n    {photometry}"
    return f"MyDB.{sample} as SP\n    JOIN SpecObj as S ON SP.specObjID = S.specObjID\n    {photometry}"


def _clause(form: str) -> str:
    """The two clauses about interpolation of one form, or of either."""
    if form == "either":
        return f"(({_clause('as_printed')}) OR ({_clause('corrected')}))"
    mask = _INTERPOLATION[form]
    both = f"((flags_r & {INTERP_CENTER:#x}) = 0 OR (flags_r & {CR:#x}) = 0)"
    return f"(flags_r & {mask:#x}) = 0 AND {both}"


def render_anonymous(columns: Sequence[Column], first: int, last: int, z_min: float, z_max: float) -> str:
    """A query short enough for SkyServer: `columns` of specObjID in [first, last], cuts left to `passes`."""
    text = _template("slice.sql").substitute(
        columns=",".join(column.selected for column in (*columns, TOTAL)),
        joins=_needed_joins(columns),
        first=first,
        last=last,
        z_min=z_min,
        z_max=z_max,
    )
    return compact(text)


_MASSES = {
    "M": "stellarMassPassivePort",
    "CD": "stellarMassFSPSGranWideDust",
    "CND": "stellarMassFSPSGranWideNoDust",
}


def _needed_joins(columns: Sequence[Column]) -> str:
    """Every table of the paper's inner join, so that each group of columns has the same rows."""
    tables = {"Z": "zooSpec"} | _MASSES
    return " ".join(
        f"JOIN {table} {alias} ON {alias}.specObjID=S.specObjID" for alias, table in tables.items()
    )


def compact(text: str) -> str:
    """SQL without comments and needless white space."""
    bare = re.sub(r"--[^\n]*", " ", text)
    return re.sub(r"\s*([,=<>()&])\s*", r"\1", " ".join(bare.split()))


def _template(name: str) -> Template:
    """A SQL text of the package."""
    return Template(resources.files("sanspec.database").joinpath("sql", name).read_text())


def passes(rows: pd.DataFrame, form: str, z_min: float, z_max: float) -> Bool[np.ndarray, " gal"]:
    """Which rows pass the query's WHERE clause in one form; a NULL (NaN) fails, as in SQL.

    rows: columns as in `COLUMNS`, ids and flags as uint64. What only the service knows (class, mode) is
    not tested.
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
    return inside & instrument & flagged & noisy & interpolated & detected & _meaningful(rows)


def _meaningful(rows: pd.DataFrame) -> Bool[np.ndarray, " gal"]:
    """Radii within 0-20 arcsec and magnitudes above 0, in every band."""
    radii = rows[[f"{name}_{band}" for name in ("petroRad", "petroR90") for band in BANDS]].to_numpy(float)
    mags = rows[[f"{name}_{band}" for name in ("fiberMag", "modelMag", "cmodelMag") for band in BANDS]]
    return ((radii > 0) & (radii < 20)).all(axis=1) & (mags.to_numpy(float) > 0).all(axis=1)


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
