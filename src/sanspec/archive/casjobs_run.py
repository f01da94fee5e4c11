"""The catalogue by CasJobs: upload the list, run the query as a job, fetch its table; resumed after any stop.

Each step is recorded before it starts (`sanspec.database.manifest`). Names of tables in MyDB contain a digest of all
that the table depends on, so a table found under our name is the one that we would make again.

What could not be tested against the live service is checked in every run: by counting rows, that an upload or an
export is complete; by reading two rows back, that ids are kept as integers. That DROP TABLE is accepted as a query,
and that the list of jobs shows our names for them, is assumed.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sqlalchemy import Engine

from sanspec.archive import answers
from sanspec.archive.answers import SqlError
from sanspec.archive.casjobs import FAILED, FINISHED, STATES, CasJobs, Ids, Vanished
from sanspec.config import Acquire
from sanspec.database import manifest, query
from sanspec.database.query import TABLE
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

SUBMISSIONS = 3  # of one job before we give up
_FULL = re.compile(r"quota|filegroup is full|allocate space|exceed|out of space", re.I)
_EXISTS = re.compile(r"already an object named", re.I)


@dataclass(frozen=True)
class CasJobsRun:
    """The steps from a list of ids to the rows of the query, recorded in the database `engine`."""

    service: CasJobs
    engine: Engine
    settings: Acquire

    def rows(self, pairs: Ids, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Rows that pass either form of the query, of the objects in `pairs` (empty: of all), in blocks.

        columns: names of the ids in `pairs`.
        """
        settings, sample = self.settings, None
        if len(pairs):
            digest = hashlib.sha256(np.asarray(pairs, "<u8").tobytes()).hexdigest()
            sample = name_table(settings, "list", digest)
            self._ensure_uploaded(sample, pairs, columns)
        text = query.render("{table}", sample, settings.z_min, settings.z_max, best="objID" not in columns)
        table = name_table(settings, "query", text)
        self.ensure_made(table, text.replace("{table}", table))
        folder = settings.store / "catalogue" / table
        count, found = self.service.count(table), 0
        for path in self.service.fetch(table, folder):  # all files are complete before the first row is used
            with path.open(newline="") as file:
                for block in answers.read(file, TABLE):
                    found += len(block)
                    yield block
        if found < count:
            raise SanspecError(
                f"CasJobs: {found} of {count} rows of MyDB.{table} arrived: remove {folder} and run again"
            )

    # ------------------------------------------------------------------------------------------------- upload

    def _ensure_uploaded(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Make sure that MyDB holds all of `ids` as `table`."""
        known, there = manifest.read_job(self.engine, table), self._is_there(table)
        if there and self.service.count(table) == len(ids):
            if known is None:
                log.info("MyDB already holds the list %s", table)
            manifest.write_job(self.engine, table, purpose="upload", mytable=table, state="finished")
            return
        if there:
            self._clear(table, known is not None)
        manifest.write_job(self.engine, table, purpose="upload", mytable=table, state="intended")
        log.info("uploading %d ids to MyDB.%s", len(ids), table)
        try:
            self.service.upload(table, ids, columns)
        except SqlError as fault:
            raise self._explain(str(fault), table) from None
        found = self.service.count(table)
        if found != len(ids):
            raise SanspecError(
                f"CasJobs: MyDB.{table} holds {found} of the {len(ids)} ids sent: run again to send them anew"
            )
        for sent in (tuple(map(int, ids[0])), tuple(map(int, ids[-1]))):
            # ids kept as floats would lose objects in the join
            if self.service.row(table, columns, sent[0]) != sent:
                self.service.drop(table)
                raise SanspecError(
                    f"CasJobs: MyDB.{table} does not hold the ids {sent} as they were sent, perhaps as floats: "
                    "ask its help desk, or set acquire.service: skyserver"
                )
        manifest.write_job(self.engine, table, state="finished")

    def _is_there(self, table: str) -> bool:
        """Whether MyDB has a table of that name, in upper or lower case."""
        return table.lower() in (name.lower() for name in self.service.tables())

    def _clear(self, table: str, ours: bool) -> None:
        """Drop a table that is in the way, if it may be dropped."""
        if not (ours or self.settings.replace):
            raise SanspecError(
                f"CasJobs: MyDB already has a table {table} that this project did not make: set "
                "acquire.replace: true to drop it, or choose other names with acquire.prefix"
            )
        log.info("dropping MyDB.%s", table)
        self.service.drop(table)

    # ---------------------------------------------------------------------------------------------------- job

    def ensure_made(self, table: str, text: str) -> None:
        """Make sure that MyDB holds the table that the query `text` selects INTO, made now or by an earlier run."""
        for _ in range(SUBMISSIONS):
            try:
                return self._make(table, text)
            except Vanished:
                log.warning("CasJobs has lost the job for MyDB.%s: submitting it again", table)
                manifest.write_job(self.engine, table, state="failed", message="vanished")
        raise SanspecError(
            f"CasJobs loses the job for MyDB.{table} again and again: try later, or ask its help desk"
        )

    def _make(self, table: str, text: str) -> None:
        """One attempt of `ensure_made`. Raises Vanished."""
        known, there = manifest.read_job(self.engine, table), self._is_there(table)
        state = known.state if known is not None else ""
        if state == "finished" and there:
            log.info("MyDB.%s was made by job %s", table, known.remote)
            return
        job = known.remote if state == "sent" else None
        if state == "intended":
            job = self.service.find(table)
        if job is None:
            if there:
                self._clear(table, known is not None)
            job = self._submit(table, text)
        manifest.write_job(self.engine, table, remote=job, state="sent")
        self._await_table(table, job)
        manifest.write_job(self.engine, table, state="finished")

    def _submit(self, table: str, text: str) -> int:
        """Submit the query, after recording the intention."""
        manifest.write_job(
            self.engine, table, purpose="query", mytable=table, state="intended", remote=None, message=""
        )
        try:
            job = self.service.submit(text, table)
        except SqlError as fault:
            manifest.write_job(self.engine, table, state="failed", message=str(fault))
            raise self._explain(str(fault), table) from None
        log.info("CasJobs job %d submitted", job)
        return job

    def _await_table(self, table: str, job: int) -> None:
        """Wait for a job that makes `table`. Raises Vanished, or SanspecError when it failed."""
        try:
            status = self.service.wait(job)
        except Vanished:
            if self._is_there(table):
                return
            raise
        if status.state == FINISHED:
            return
        if status.state == FAILED and _EXISTS.search(status.message) and self._is_there(table):
            return
        manifest.write_job(self.engine, table, state="failed", message=status.message)
        words = f"job {job} {STATES[status.state]}: {status.message or 'no reason given'}"
        raise self._explain(words, table)

    def _explain(self, message: str, table: str) -> SanspecError:
        """The service's error message with what the user can do."""
        if _FULL.search(message):
            tables = self.service.tables()
            largest = sorted(tables, key=lambda name: -(tables[name] or 0))[:5]
            held = ", ".join(f"{name} ({tables[name]} rows)" for name in largest) or "nothing"
            return SanspecError(
                f"CasJobs: MyDB is full ({message[:160]}); it holds {held}: drop what you do not need and run again"
            )
        return SanspecError(f"CasJobs: {message[:400]} (table {table}): correct that and run again")


def name_table(settings: Acquire, kind: str, *parts: str) -> str:
    """Name of our table in MyDB: prefix, kind and a digest of all that it depends on."""
    digest = hashlib.sha256("\0".join((settings.release, *parts)).encode()).hexdigest()[:12]
    return f"{settings.prefix}_{kind}_{digest}"
