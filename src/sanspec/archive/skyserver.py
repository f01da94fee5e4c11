"""SkyServer's anonymous SQL: the catalogue in slices within the limits on rows, time and query length.

It allows 60 queries a minute, 500,000 rows and 600 s per query, and addresses of up to 2,048 characters. So the
catalogue is requested in ranges of plates. A range whose answer is cut short is halved, columns are spread over several
queries where one would be too long, and the quality cuts are made here. Each finished slice is kept on disk: a
restarted run requests only the others.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd

from sanspec import store
from sanspec.archive import answers
from sanspec.archive.answers import SqlError, TooLarge
from sanspec.archive.session import Answer, Refused, Session, Transient
from sanspec.config import Acquire
from sanspec.database import query
from sanspec.database.query import TOTAL, Column
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

Plates = tuple[int, int]  # first and last plate of a slice
FIRST_PLATE, LAST_PLATE = 266, 3510  # of the SDSS spectrographs; BOSS begins at 3510
SLICE_PLATES = 50  # plates per query at first
MAX_ROWS = 400_000  # an answer with this many rows may have been cut at SkyServer's 500,000, so it is halved
MAX_LENGTH = 1900  # characters of an encoded query, below SkyServer's 2,048
_PLATE_BITS = 50  # specObjID >> 50 is the plate


class SkyServer:
    """Anonymous SQL, at the pace that SkyServer allows."""

    def __init__(self, session: Session, settings: Acquire):
        self._session, self._settings = session, settings

    def ask(self, text: str, columns: Sequence[Column]) -> pd.DataFrame:
        """The rows of a query. Raises TooLarge, SqlError, or SanspecError where there is no answer."""
        empty: list[bool] = []  # an answer cut short after its column names looks like one without rows

        def read(answer: Answer) -> pd.DataFrame:
            """The rows of an answer; an empty one is believed the second time."""
            if answer.status != 200:
                answers.complain(answers.text_of(answer.body) or f"HTTP {answer.status}", answer.status)
            rows = answers.read_text(answer.text, columns)
            if not len(rows) and not empty:
                empty.append(True)
                raise Transient("no rows: asked twice")
            return rows

        try:
            return self._session.call(
                "GET",
                self._settings.services.skyserver,
                read,
                params={"cmd": text, "format": "csv"},
                interval=self._settings.query_interval,
                final=answers.is_database_error,
            )
        except SqlError:
            raise
        except Refused as fault:
            raise fault.explain("SkyServer") from None

    # ---------------------------------------------------------------------------------------------- catalogue

    def fetch(self, folder: Path, first: int = FIRST_PLATE, last: int = LAST_PLATE) -> list[Plates]:
        """Fetch the catalogue to `folder`, slice by slice; the plates of each slice."""
        starts = range(first, last + 1, SLICE_PLATES)
        waiting = [(start, min(start + SLICE_PLATES - 1, last)) for start in starts][::-1]
        done: list[Plates] = []
        while waiting:
            start, end = plates = waiting.pop()
            mark = folder / f"plates-{start:04d}-{end:04d}.halved"
            try:
                if mark.exists():
                    raise TooLarge("known from an earlier run")
                count = len(self.slice(plates, folder))
            except TooLarge as fault:
                if start == end:
                    raise SanspecError(
                        f"SkyServer cuts even plate {start} short: try later, or use CasJobs "
                        "(set SANSPEC_SCISERVER_USER)"
                    ) from None
                log.info("plates %d-%d are cut short (%s): halved", start, end, fault)
                middle = (start + end) // 2
                waiting += [(middle + 1, end), (start, middle)]
                folder.mkdir(parents=True, exist_ok=True)
                mark.touch()
                continue
            done.append(plates)
            total = len(done) + len(waiting)
            log.info("plates %d-%d: %d rows; %d of %d slices", start, end, count, len(done), total)
        return done

    def slice(self, plates: Plates, folder: Path) -> pd.DataFrame:
        """The rows of one slice, its groups of columns joined by specObjID. Raises TooLarge."""
        longest = (LAST_PLATE, LAST_PLATE)
        groups = query.groups(
            MAX_LENGTH, lambda columns: len(urlencode({"cmd": self._text(columns, longest), "format": "csv"}))
        )
        parts = [self._group(plates, columns, number, folder) for number, columns in enumerate(groups)]
        key = parts[0]["specObjID"]
        if not all(key.equals(part["specObjID"]) for part in parts[1:]):
            raise SanspecError(
                f"SkyServer's answers for plates {plates[0]}-{plates[1]} hold different objects: "
                f"remove {folder} and run again"
            )
        whole = pd.concat([key, *(part.drop(columns="specObjID") for part in parts)], axis=1)
        return whole[list(query.NAMES)]

    def _text(self, columns: Sequence[Column], plates: Plates) -> str:
        """The query for `columns` of a slice."""
        first, last = plates[0] << _PLATE_BITS, (plates[1] + 1 << _PLATE_BITS) - 1
        return query.render_anonymous(columns, first, last, self._settings.z_min, self._settings.z_max)

    def _group(self, plates: Plates, columns: Sequence[Column], number: int, folder: Path) -> pd.DataFrame:
        """One group of columns of a slice, sorted by specObjID; from disk where it was fetched before."""
        path = folder / f"plates-{plates[0]:04d}-{plates[1]:04d}-{number}.parquet"
        if path.exists():
            return store.read_table(path)
        rows = self.ask(self._text(columns, plates), [*columns, TOTAL])
        if len(rows) >= MAX_ROWS:
            raise TooLarge(f"{len(rows)} rows")
        rows = rows.drop_duplicates("specObjID").sort_values("specObjID", ignore_index=True)
        store.write_table(path, rows)
        return rows
