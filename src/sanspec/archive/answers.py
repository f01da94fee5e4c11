"""Answers of SQL services: rows read strictly, and the several forms of an error told apart.

SkyServer and CasJobs report errors as JSON, as HTML with status 200, or as CSV with the single column
`error_message`.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from sanspec.archive.session import Answer, Refused, Transient
from sanspec.database.query import COLUMNS, END, TOTAL, TOTAL_FROM, Column
from sanspec.errors import SanspecError

_NULLS = {"", "null", "NULL"}
_ID = re.compile(r" *[0-9]{1,20} *")
_TYPED = re.compile(r"\[(\w+)\]:\w+")  # ExecuteQuickJob's header, `[z]:Real`
_TIMED_OUT = re.compile(r"time-?out|timed out|time limit|execution time", re.I)
THROTTLE_WAIT = 60.0  # seconds: SkyServer counts queries per minute


class TooLarge(Exception):
    """The service cut the query short: too many rows, or it ran for too long."""


class SqlError(Refused):
    """The database's own error message about a query."""


def text_of(body: bytes, limit: int = 300) -> str:
    """The message of an error body in one line: from JSON, an ASP.NET exception, or an HTML page."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        text = str(found.get("ErrorMessage") or found.get("Error Message") or found.get("error") or found)
    elif exception := re.search(r"System\.Exception: *(.*?) *--->", text, re.S):
        text = exception[1]
    elif "<" in text:
        text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.S | re.I)
    return " ".join(text.split())[:limit]


def is_database_error(
    answer: Answer, marks: Sequence[bytes] = (b"System.Exception", b"ErrorMessage", b"Error Message")
) -> bool:
    """Whether an HTTP 500 carries the database's own message, which another try would not change."""
    return answer.status == 500 and any(mark in answer.body[:4000] for mark in marks)


def complain(message: str, status: int = 0) -> None:
    """Raise what an error message means: a throttled service, a time limit, or an error of the query itself."""
    if "queries allowed per minute" in message:
        raise Transient("throttled: 60 queries a minute", THROTTLE_WAIT)
    if _TIMED_OUT.search(message):
        raise TooLarge(message[:300])
    raise SqlError(message[:300], status)


def read(
    lines: Iterable[str], columns: Sequence[Column] = COLUMNS, block: int = 2000
) -> Iterator[pd.DataFrame]:
    """Rows of a CSV answer in blocks, typed: ids uint64, integers and reals float64 (NULL is NaN), text str.

    columns: those requested, with the guard (`query.END` or `query.TOTAL`) last, which is checked and dropped.
    An answer without rows gives one empty table. Raises Transient for a throttled query, an HTML page or an answer
    cut short; SqlError for the service's error; SanspecError for other columns or an id that has been rounded.
    """
    *columns, guard = columns if columns[-1] in (END, TOTAL) else (*columns, None)
    rows = csv.reader(_body(lines))
    held: list[list[str]] = []
    total, count = None, 0
    try:
        header = next(rows, None)
        first = next(rows, None) if header == ["error_message"] else None
        places = _places(header, first, [*columns, guard] if guard else columns)
        last = places.pop() if guard else -1
        for row in rows:
            if len(row) != len(header) or (guard is END and row[last] != "end"):
                raise Transient("answer cut short: incomplete row")
            total, count = row[last] if guard is TOTAL else None, count + 1
            held.append(row)
            if len(held) == block:
                yield _typed(held, places, columns)
                held = []
    except csv.Error as fault:
        raise Transient(f"not CSV: {fault}") from None
    if total is not None and total.strip() != str(TOTAL_FROM + count):
        raise Transient("answer cut short: missing rows")
    if held or not count:
        yield _typed(held, places, columns)


def read_text(text: str, columns: Sequence[Column] = COLUMNS) -> pd.DataFrame:
    """All rows of an answer held in memory; without rows an empty table with the columns."""
    return pd.concat(read(io.StringIO(text, newline=""), columns), ignore_index=True)


def _body(lines: Iterable[str]) -> Iterator[str]:
    """Lines without SkyServer's `#Table1`. Raises where they are not CSV, or hold a second table."""
    begun = False
    for line in lines:
        if not line.strip():
            continue
        if not begun and line.lstrip().startswith("<"):
            raise Transient("HTML page with status 200")
        if not begun and line.lstrip().startswith("{"):
            raise Transient("JSON instead of CSV")
        begun = True
        if not line.startswith("#Table"):
            yield line
        elif line.strip() != "#Table1":
            raise SqlError("the service sent several tables")


def _places(header: list[str] | None, first: list[str] | None, columns: Sequence[Column]) -> list[int]:
    """Index in a row of each column. `first`: the row below a header that announces an error message."""
    if header is None:
        raise Transient("empty answer")
    if header == ["error_message"]:
        complain(" ".join(first or []))
    names = [(_TYPED.fullmatch(name) or (name, name))[1].strip().lower() for name in header]
    wanted = [column.name.lower() for column in columns]
    faults = {
        "twice": sorted({name for name in names if names.count(name) > 1}),
        "missing": [name for name in wanted if name not in names],
        "unknown": [name for name in names if name not in wanted],
    }
    found = "; ".join(f"{word}: {', '.join(names)}" for word, names in faults.items() if names)
    if found:
        raise SanspecError(
            f"the catalogue's columns are not those of the query ({found}): name each column once, as "
            "`sanspec query --show corrected` does"
        )
    return [names.index(name) for name in wanted]


def _typed(rows: list[list[str]], places: Sequence[int], columns: Sequence[Column]) -> pd.DataFrame:
    """Rows of text as typed columns."""
    return pd.DataFrame({c.name: _values([row[at] for row in rows], c) for c, at in zip(columns, places)})


def _values(texts: list[str], column: Column) -> np.ndarray | pd.Series:
    """One column: exact 64-bit ids, numbers with NULL as NaN, or stripped text with NULL as the empty string."""
    if column.kind == "id":
        for text in texts:
            if not _ID.fullmatch(text) or int(text) >= 1 << 64:
                raise SanspecError(
                    f"column {column.name} holds {text!r}: an id is a whole number of at most 20 digits; a "
                    "spreadsheet or a float column has rounded it: fetch the table again and keep ids as text"
                )
        return np.array([int(text) for text in texts], dtype=np.uint64)
    texts = ["" if text.strip() in _NULLS else text.strip() for text in texts]
    if column.kind == "text":
        return pd.Series(texts, dtype="str")
    try:
        return np.array([float(text or "nan") for text in texts])
    except ValueError as fault:
        raise Transient(f"column {column.name} is not numeric: {fault}") from None
