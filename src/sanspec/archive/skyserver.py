"""SkyServer's anonymous SQL: the catalogue in slices within the limits of rows, time and length.

60 queries a minute, 500,000 rows, 600 s; addresses beyond 2,048 characters are refused. So plates are asked
for a few at a time, a slice that is cut short is halved, columns are spread over several queries where they
are too long, and the quality cuts are made here. Each finished slice stays on disk: a restarted run asks for
the others alone.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd

from sanspec import store
from sanspec.archive import answers
from sanspec.archive.answers import SqlError, TooLarge
from sanspec.archive.casjobs import as_user_fault
from sanspec.archive.session import Answer, Refused, Session, Transient
from sanspec.config import Acquire
from sanspec.database import query
from sanspec.database.query import TOTAL, Column
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

FIRST_PLATE, LAST_PLATE = 266, 3510  # of the SDSS spectrographs; BOSS begins at 3510
_PLATE_BITS = 50


@dataclass(frozen=True)
class Slice:
    """Plates [first, last]."""

    first: int
    last: int

    @property
    def ids(self) -> tuple[int, int]:
        """Least and greatest specObjID."""
        return self.first << _PLATE_BITS, (self.last + 1 << _PLATE_BITS) - 1

    def halves(self) -> tuple["Slice", "Slice"]:
        """Two slices in its place. Raises SanspecError where it is one plate already."""
        if self.first == self.last:
            raise SanspecError(
                f"SkyServer cuts even plate {self.first} short: try later, or use CasJobs "
                "(set SANSPEC_SCISERVER_USER)"
            )
        middle = (self.first + self.last) // 2
        return Slice(self.first, middle), Slice(middle + 1, self.last)


class SkyServer:
    """Anonymous SQL at SkyServer's pace."""

    def __init__(self, session: Session, settings: Acquire):
        self._session, self._settings = session, settings
        self._lock, self._next = threading.Lock(), 0.0

    def ask(self, text: str, columns: Sequence[Column]) -> pd.DataFrame:
        """The rows of a query. Raises TooLarge, SqlError, or SanspecError where there is no answer."""

        def once() -> pd.DataFrame:
            """One try."""
            self._await_turn()
            options = {"params": {"cmd": text, "format": "csv"}, "final": _is_last_word}
            answer = self._session.call("GET", self._settings.services.skyserver, **options)
            if answer.status != 200:
                answers.complain(answer.status, answer.body)
            try:
                rows = answers.read_text(answer.text, columns)
            except Transient as fault:
                if fault.retry_after is not None:
                    self._session.sleep(min(fault.retry_after, self._settings.http.backoff_max))
                raise
            if not len(rows) and not empty:
                empty.append(True)
                raise Transient("no rows: asked twice")
            return rows

        empty: list[bool] = []  # an answer cut short behind its column names looks like one without rows
        try:
            return self._session.retry(once)
        except SqlError:
            raise
        except Refused as fault:
            raise as_user_fault(fault, "SkyServer") from None

    def _await_turn(self) -> None:
        """Keep queries `query_interval` apart."""
        with self._lock:
            at = max(time.monotonic(), self._next)
            self._next = at + self._settings.query_interval
        self._session.sleep(at - time.monotonic())

    # ---------------------------------------------------------------------------------------------- catalogue

    def fetch(self, folder: Path, first: int = FIRST_PLATE, last: int = LAST_PLATE) -> list[Slice]:
        """Fetch the catalogue to `folder`, slice after slice; the slices that it came in."""
        step = self._settings.slice_plates
        waiting = [Slice(at, min(at + step - 1, last)) for at in range(first, last + 1, step)][::-1]
        done: list[Slice] = []
        while waiting:
            part = waiting.pop()
            mark = folder / f"plates-{part.first:04d}-{part.last:04d}.halved"
            try:
                if mark.exists():
                    raise TooLarge("known from an earlier run")
                count = len(self.slice(part, folder))
            except TooLarge as fault:
                log.info("plates %d-%d are cut short (%s): halved", part.first, part.last, fault)
                waiting += reversed(part.halves())
                folder.mkdir(parents=True, exist_ok=True)
                mark.touch()
                continue
            done.append(part)
            total = len(done) + len(waiting)
            log.info("plates %d-%d: %d rows; %d of %d slices", part.first, part.last, count, len(done), total)
        return done

    def slice(self, part: Slice, folder: Path) -> pd.DataFrame:
        """The rows of one slice, its groups of columns put side by side by specObjID. Raises TooLarge."""
        groups = [self._group(part, columns, number, folder) for number, columns in enumerate(self._groups())]
        whole = groups[0]
        for group in groups[1:]:
            if not whole["specObjID"].equals(group["specObjID"]):
                raise SanspecError(
                    f"SkyServer's answers for plates {part.first}-{part.last} name different objects: "
                    f"remove {folder} and run again"
                )
            whole = pd.concat([whole, group.drop(columns="specObjID")], axis=1)
        return whole[list(query.NAMES)]

    def _groups(self) -> list[list[Column]]:
        """Columns in groups whose queries are short enough."""
        return query.groups(self._settings.query_length, lambda columns: self._length(columns))

    def _length(self, columns: Sequence[Column]) -> int:
        """Encoded length of the longest query for `columns`."""
        text = self._text(columns, Slice(LAST_PLATE, LAST_PLATE))
        return len(urlencode({"cmd": text, "format": "csv"}))

    def _text(self, columns: Sequence[Column], part: Slice) -> str:
        """The query for `columns` of a slice."""
        return query.render_anonymous(columns, *part.ids, self._settings.z_min, self._settings.z_max)

    def _group(self, part: Slice, columns: Sequence[Column], number: int, folder: Path) -> pd.DataFrame:
        """One group of columns of a slice, sorted by specObjID; from disk where it was fetched before."""
        path = folder / f"plates-{part.first:04d}-{part.last:04d}-{number}.parquet"
        if path.exists():
            return store.read_table(path)
        rows = self.ask(self._text(columns, part), [*columns, TOTAL])
        if len(rows) >= self._settings.query_rows:
            raise TooLarge(f"{len(rows)} rows")
        rows = rows.drop_duplicates("specObjID").sort_values("specObjID", ignore_index=True)
        store.write_table(path, rows)
        return rows


def _is_last_word(answer: Answer) -> bool:
    """Whether a 500 is the database's word on the query."""
    return answer.status == 500 and answers.is_database_error(answer.body)
