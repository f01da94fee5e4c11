"""Read catalogue files as CasJobs and SkyServer write them, ids exact."""

import itertools
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec.errors import SanspecError

_WORDS = {"zerr": "z_err", "veldisp": "vdisp", "veldisperr": "vdisp_err"}  # theirs -> ours
_IDS = ("specobjid", "objid", "bestobjid")
_LINE_BITS = 0x3FF  # of a specobjid, 0 for every spectrum; rounding to 15 digits fills them
_Z_MAX = 10.0  # a column "z" with a larger median holds magnitudes
ZOO_VOTE = 0.8  # debiased vote above which Galaxy Zoo 1 flags a galaxy (Lintott et al. 2011)
log = logging.getLogger(__name__)


def read_catalogue(path: Path) -> pd.DataFrame:
    """A query's result: columns in lower case and the package's words, ids as uint64, NULL as NaN.

    Raises SanspecError where the file is not such a table, an id was rounded, or `z` holds magnitudes.
    """
    path = Path(path)
    skip = _check_head(path)
    try:
        names = pd.read_csv(path, skiprows=skip, nrows=0).columns
        exact = {name: str for name in names if name.strip().lower() in _IDS}  # floats would round ids
        table = pd.read_csv(path, skiprows=skip, dtype=exact, na_values=["null"], skipinitialspace=True)
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as fault:
        raise _fault(path, f"not a CSV table ({fault})", "export it again") from None
    table.columns = [_word(name) for name in table.columns]
    _check_columns(path, table)
    for name in set(_IDS) & set(table.columns):
        table[name] = parse_ids(table[name], path, name, skip + 2)
    _check_rounding(path, table)
    return table


def _check_head(path: Path) -> int:
    """Number of lines before the column names (SkyServer's "#Table1"). Raises SanspecError for an error page."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = list(itertools.islice(file, 2))
    except OSError as fault:
        raise _fault(
            path, fault.strerror.lower(), "set survey.catalogue to the query's result (.csv)"
        ) from None
    text = "".join(head).lower()
    if "error_message" in text or text.lstrip().startswith(("<", "{")):
        raise _fault(
            path, f"the server's error, not a table: {' '.join(text.split())[:120]!r}", "query again"
        )
    return 1 if head and head[0].startswith("#Table") else 0


def _word(name: str) -> str:
    """A column's name in the package's words; CasJobs types such as "[z]:Real" are dropped."""
    plain = re.sub(r"^\[(.*)\]:.*$", r"\1", str(name).strip()).lower()
    return _WORDS.get(plain, plain)


def _check_columns(path: Path, table: pd.DataFrame) -> None:
    """Raises SanspecError where a required column is missing, a name occurs twice, or z is no redshift."""
    twice = sorted(set(table.columns[table.columns.duplicated()]))
    if twice:
        raise _fault(path, f"two columns named {', '.join(twice)}", "give each its own name in the query")
    missing = [name for name in ("specobjid", "ra", "dec", "z") if name not in table.columns]
    if missing:
        raise _fault(path, f"no column {', '.join(missing)}", f"it has: {', '.join(table.columns[:12])}, ...")
    if not len(table):
        raise _fault(path, "no rows", "check the query")
    z = pd.to_numeric(table["z"], errors="coerce")
    if not z.median() < _Z_MAX:
        hint = (
            "is it the magnitude? name the redshift z in the query (SELECT p.z, s.z names the magnitude so)"
        )
        raise _fault(path, f"column z has median {z.median():.4g}, no redshift", hint)


def parse_ids(column: pd.Series, path: Path, name: str, first_line: int) -> np.ndarray:
    """Ids as uint64 from text. Raises SanspecError, with the line, where one is not an integer below 2**64."""
    text = column.fillna("").astype(str).str.strip()
    good = text.str.fullmatch(r"\d{1,20}") & (text.str.len().lt(20) | text.le("18446744073709551615"))
    if not good.all():
        row = int(np.flatnonzero(~good.to_numpy())[0])
        what = f"line {row + first_line}: {name} is {text.iloc[row]!r}, not a whole 64-bit number"
        raise _fault(path, what, "a spreadsheet has rounded it? export the query again and do not re-save it")
    return np.array([int(value) for value in text], dtype=np.uint64)


def _check_rounding(path: Path, table: pd.DataFrame) -> None:
    """Raises SanspecError where a spreadsheet has rounded ids to 15 digits and written them out in full.

    Every specobjid ends in ten zero bits; only one objid in 10,000 ends in four zeros.
    """
    broken = (table["specobjid"].to_numpy() & np.uint64(_LINE_BITS)) != 0
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        first = table["specobjid"].iloc[row]
        what = f"specobjid {first} names no spectrum ({broken.sum()} such of {len(table)})"
        raise _fault(path, what, "rounded by a spreadsheet? export the query again and do not re-save it")
    if (
        "objid" in table
        and len(table) > 3
        and np.mean(table["objid"].to_numpy() % np.uint64(10000) == 0) > 0.5
    ):
        raise _fault(path, "every objid ends in 0000", "rounded by a spreadsheet? export the query again")


def _fault(path: Path, what: str, remedy: str) -> SanspecError:
    """An error about a catalogue file, for the user."""
    return SanspecError(f"catalogue {path}: {what}; {remedy}")


def morphology(table: pd.DataFrame) -> np.ndarray:
    """elliptical, spiral or uncertain by Galaxy Zoo 1 (Lintott et al. 2011: a debiased vote above 0.8)."""
    if {"spiral", "elliptical"} <= set(table.columns):
        spiral, elliptical = table["spiral"] == 1, table["elliptical"] == 1
    elif {"p_cs_debiased", "p_el_debiased"} <= set(table.columns):
        spiral, elliptical = table["p_cs_debiased"] > ZOO_VOTE, table["p_el_debiased"] > ZOO_VOTE
    else:
        log.warning("the catalogue has no Galaxy Zoo column: every morphology is uncertain")
        return np.full(len(table), "uncertain")
    return np.select([elliptical, spiral], ["elliptical", "spiral"], "uncertain")
