"""What a SQL service sent: rows read strictly, and its several ways of saying no told apart.

SkyServer and CasJobs answer errors as JSON, as HTML with status 200, or as a CSV with one column
`error_message`.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from sanspec.archive.session import Refused, Session, Transient
from sanspec.database.query import COLUMNS, END, TOTAL, TOTAL_FROM, Column
from sanspec.errors import SanspecError

_NULLS = {"", "null", "NULL"}
_ID = re.compile(r" *[0-9]{1,20} *")
_TYPED = re.compile(r"\[(\w+)\]:\w+")  # ExecuteQuickJob's header, `[z]:Real`
_TIMED_OUT = re.compile(r"time-?out|timed out|time limit|execution time", re.I)
THROTTLE_WAIT = 60.0  # seconds: SkyServer counts queries per minute


class TooLarge(Exception):
    """The service cut the query short: too many rows or too long a run."""


class SqlError(Refused):
    """The database's own complaint about a query."""


def text_of(body: bytes, limit: int = 300) -> str:
    """What an error body says, in one line: of JSON, of an ASP.NET exception, or of an HTML page."""
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


def is_database_error(body: bytes) -> bool:
    """Whether an HTTP 500 holds the database's words, which a later try does not change."""
    start = body[:4000]
    return b"System.Exception" in start or b"ErrorMessage" in start or b"Error Message" in start


def complain(status: int, body: bytes) -> None:
    """Raise what an answer of another status than 200 means: SqlError, or TooLarge for a time limit."""
    words = text_of(body) or f"HTTP {status}"
    if _TIMED_OUT.search(words):
        raise TooLarge(words)
    raise SqlError(words, status)


def read(
    lines: Iterable[str], columns: Sequence[Column] = COLUMNS, block: int = 2000
) -> Iterator[pd.DataFrame]:
    """Rows of a CSV answer in blocks, typed: ids uint64, integers and reals float64 (NULL is NaN), text str.

    columns: what was asked for, its guard (`query.END` or `query.TOTAL`) last; the guard is checked and
    dropped. Raises Transient for a throttle message, an HTML page or an answer cut short; SqlError for the
    service's complaint; SanspecError where the columns are not those asked for or an id has been rounded.
    """
    *columns, guard = columns if columns[-1] in (END, TOTAL) else (*columns, None)
    rows = csv.reader(_body(lines))
    try:
        header = next(rows, None)
        first = next(rows, None) if header == ["error_message"] else None
        places = _places(header, first, [*columns, guard] if guard else columns)
        last = places.pop() if guard else -1
        held: list[list[str]] = []
        total, count = None, 0
        for row in rows:
            if len(row) != len(header) or (guard is END and row[last] != "end"):
                raise Transient("answer cut short: a row breaks off")
            total, count = row[last] if guard is TOTAL else None, count + 1
            held.append(row)
            if len(held) == block:
                yield _typed(held, places, columns)
                held = []
    except csv.Error as fault:
        raise Transient(f"not CSV: {fault}") from None
    if total is not None and total.strip() != str(TOTAL_FROM + count):
        raise Transient("answer cut short: rows are missing")
    if held:
        yield _typed(held, places, columns)


def read_text(text: str, columns: Sequence[Column] = COLUMNS) -> pd.DataFrame:
    """Every row of an answer held in memory; no rows give an empty table with the columns."""
    blocks = list(read(io.StringIO(text, newline=""), columns))
    plain = [column for column in columns if column not in (END, TOTAL)]
    return pd.concat(blocks, ignore_index=True) if blocks else _typed([], range(len(plain)), plain)


COUNT = "SELECT COUNT(DISTINCT specObjID) as n, 'end' as fin FROM MyDB.{}"


def count_in(session: Session, ask: Callable[[], str]) -> int:
    """The number that a `COUNT` query answers, asked again where the answer was cut short."""

    def once() -> int:
        """One try."""
        found = re.fullmatch(r"[^\n]*\n\"?(\d+)\"?,\"?end\"?", ask().strip().replace("\r", ""))
        if found is None:
            raise Transient("answer cut short: no number")
        return int(found[1])

    return session.retry(once)


ROW = "SELECT TOP 1 {}, 'end' as fin FROM MyDB.{} WHERE specObjID = {}"


def row_in(session: Session, ask: Callable[[], str], names: Sequence[str]) -> tuple[int, ...]:
    """The ids that a `ROW` query answers, exact; none where they have been rounded."""
    columns = [*(Column(name, name, "id") for name in names), END]

    def once() -> tuple[int, ...]:
        """One try."""
        text = ask()
        try:
            frame = read_text(text, columns)
        except SanspecError:
            return ()
        if not len(frame):
            raise Transient("answer cut short: no row")
        return tuple(int(frame[name][0]) for name in names)

    return session.retry(once)


def _body(lines: Iterable[str]) -> Iterator[str]:
    """Lines without SkyServer's `#Table1`; raises where the answer is a page or a second table follows."""
    begun = False
    for line in lines:
        if not begun and not line.strip():
            continue
        if not begun and line.lstrip().startswith(("<", "{")):
            raise Transient(
                "HTML page with status 200" if line.lstrip().startswith("<") else "JSON where CSV was due"
            )
        begun = True
        if line.startswith("#Table"):
            if line.strip() != "#Table1":
                raise SqlError("the service sent several tables")
            continue
        if line.strip():
            yield line


def _places(header: list[str] | None, first: list[str] | None, columns: Sequence[Column]) -> list[int]:
    """Where each column stands in a row."""
    if header is None:
        raise Transient("empty answer")
    if header == ["error_message"]:
        _refuse(" ".join(first or []))
    names = [(_TYPED.fullmatch(name) or (name, name))[1].strip().lower() for name in header]
    twice = sorted({name for name in names if names.count(name) > 1})
    wanted = [column.name.lower() for column in columns]
    missing, unknown = [name for name in wanted if name not in names], [n for n in names if n not in wanted]
    if twice or missing or unknown:
        parts = (("twice", twice), ("missing", missing), ("unknown", unknown))
        found = "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
        raise SanspecError(
            f"the catalogue's columns are not those of the query ({found}): name each column once, as "
            "`sanspec query --show corrected` does"
        )
    return [names.index(name) for name in wanted]


def _refuse(message: str) -> None:
    """Raise what SkyServer's `error_message` means."""
    if "queries allowed per minute" in message:
        raise Transient("throttled: 60 queries a minute", THROTTLE_WAIT)
    if _TIMED_OUT.search(message):
        raise TooLarge(message[:300])
    raise SqlError(message[:300])


def _typed(rows: list[list[str]], places: Sequence[int], columns: Sequence[Column]) -> pd.DataFrame:
    """Rows of text as columns of their kinds."""
    converted = {"id": _ids, "int": _numbers, "real": _numbers, "text": _texts}
    return pd.DataFrame(
        {c.name: converted[c.kind]([row[at] for row in rows], c.name) for c, at in zip(columns, places)}
    )


def _ids(values: list[str], name: str) -> np.ndarray:
    """64-bit ids from digits alone: anything else has been through a float."""
    for value in values:
        if not _ID.fullmatch(value) or int(value) >= 1 << 64:
            raise SanspecError(
                f"column {name} holds {value!r}: an id is a whole number of at most 20 digits; a "
                "spreadsheet or a float column has rounded it: fetch the table again and keep ids as text"
            )
    return np.array([int(value) for value in values], dtype=np.uint64)


def _numbers(values: list[str], name: str) -> np.ndarray:
    """Numbers, NULL as NaN."""
    try:
        return np.array([np.nan if value.strip() in _NULLS else float(value) for value in values])
    except ValueError as fault:
        raise Transient(f"column {name} is not numeric: {fault}") from None


def _texts(values: list[str], name: str) -> pd.Series:
    """Text without padding, NULL as the empty string."""
    return pd.Series(["" if value.strip() in _NULLS else value.strip() for value in values], dtype="str")
