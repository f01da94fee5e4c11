"""CasJobs: upload a list, run the query as a job, fetch its table; a run goes on where the last one stopped.

Each step is written down before it is begun (`sanspec.database.manifest`), and tables in MyDB are named by a digest
of all that they depend on, so what is found there under our name is what we would make again.

Not verified against the live service, and therefore checked each time by counting rows: that an upload or an
export is whole; by reading two back: that it keeps ids as integers; that DROP TABLE passes as a query; that the
list of jobs shows our names for them.
"""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import UInt64
from sqlalchemy import Engine

from sanspec.archive.answers import SqlError
from sanspec.archive.session import Refused, Session
from sanspec.config import Acquire
from sanspec.database import manifest
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

Ids = UInt64[np.ndarray, "gal id"]
STATES = ("ready", "started", "being cancelled", "cancelled", "failed", "finished")
CANCELLED, FAILED, FINISHED = 3, 4, 5
LIVES = 3  # submissions of one job before we give up
_FULL = re.compile(r"quota|filegroup is full|allocate space|exceed|out of space", re.I)
_EXISTS = re.compile(r"already an object named", re.I)


class Vanished(Exception):
    """CasJobs knows no such job any more."""


@dataclass(frozen=True)
class Look:
    """One look at a job: its state, what the service says of it, and where its output lies (may be empty)."""

    status: int
    message: str = ""
    output: str = ""


class Service(Protocol):
    """What both forms of CasJobs can do. Every method raises SanspecError on wrong credentials."""

    def tables(self) -> dict[str, int | None]:
        """Names of the tables in MyDB with their rows, where the service tells them."""

    def count(self, table: str) -> int:
        """Rows of a table in MyDB, of different specObjID."""

    def row(self, table: str, columns: Sequence[str], specobjid: int) -> tuple[int, ...]:
        """The ids that a table in MyDB holds for an object; none where they are not whole numbers."""

    def upload(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Make a table in MyDB of ids."""

    def drop(self, table: str) -> None:
        """Remove a table from MyDB."""

    def submit(self, query: str, name: str) -> int:
        """Queue a query; the job's id."""

    def find(self, name: str) -> int | None:
        """The latest job of our name for it."""

    def look(self, job: int) -> Look:
        """How a job stands. Raises Vanished."""

    def fetch(self, table: str, folder: Path) -> list[Path]:
        """The rows of a table as CSV files below `folder`, those that are there already not fetched again."""


@dataclass(frozen=True)
class Desk:
    """One conversation with CasJobs: the service, the database that remembers it, and the settings."""

    service: Service
    session: Session
    engine: Engine
    settings: Acquire

    # ------------------------------------------------------------------------------------------------- upload

    def ensure_uploaded(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """`ids` stand in MyDB as `table`, whole."""
        known, there = manifest.read_job(self.engine, table), self._find_table(table)
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
                f"CasJobs: MyDB.{table} holds {found} of the {len(ids)} ids sent; run again to send them anew"
            )
        self._check_exact(table, ids, columns)
        manifest.write_job(self.engine, table, state="finished")

    def _check_exact(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Raises SanspecError where CasJobs keeps the ids as floats: the join would lose objects in silence."""
        for sent in (tuple(map(int, ids[0])), tuple(map(int, ids[-1]))):
            if self.service.row(table, columns, sent[0]) != sent:
                self.service.drop(table)
                raise SanspecError(
                    f"CasJobs: MyDB.{table} does not hold the ids {sent} as they were sent, perhaps as floats: "
                    "ask its help desk, or set acquire.service: skyserver"
                )

    def _find_table(self, table: str) -> bool:
        """Whether MyDB has a table of that name, in any case."""
        return table.lower() in (name.lower() for name in self.service.tables())

    def _clear(self, table: str, ours: bool) -> None:
        """Drop a table that is in the way, if it may be dropped."""
        if not (ours or self.settings.replace):
            raise SanspecError(
                f"CasJobs: MyDB already has a table {table} that this project did not make: set "
                "acquire.replace: true to drop it, or acquire.prefix to name ours otherwise"
            )
        log.info("dropping MyDB.%s", table)
        self.service.drop(table)

    # ---------------------------------------------------------------------------------------------------- job

    def ensure_made(self, table: str, query: str) -> None:
        """The table that `query` selects INTO stands in MyDB, whole: made now or by an earlier run."""
        for _ in range(LIVES):
            try:
                return self._make(table, query)
            except Vanished:
                log.warning("CasJobs has lost the job for MyDB.%s: submitting it again", table)
                manifest.write_job(self.engine, table, state="failed", message="vanished")
        raise SanspecError(
            f"CasJobs loses the job for MyDB.{table} again and again: try later, or ask its help desk"
        )

    def _make(self, table: str, query: str) -> None:
        """As `ensure_made`, once. Raises Vanished."""
        known = manifest.read_job(self.engine, table)
        there = self._find_table(table)
        if known is not None and known.state == "finished" and there:
            log.info("MyDB.%s was made by job %s", table, known.remote)
            return
        job = known.remote if known is not None and known.state == "sent" else None
        if known is not None and known.state == "intended":
            job = self.service.find(table)
        if job is None:
            if there:
                self._clear(table, known is not None)
            job = self._submit(table, query)
        manifest.write_job(self.engine, table, remote=job, state="sent")
        self._await_table(table, job)
        manifest.write_job(self.engine, table, state="finished")

    def _submit(self, table: str, query: str) -> int:
        """Queue the query, after writing down that we are about to."""
        manifest.write_job(
            self.engine, table, purpose="query", mytable=table, state="intended", remote=None, message=""
        )
        try:
            job = self.service.submit(query, table)
        except SqlError as fault:
            manifest.write_job(self.engine, table, state="failed", message=str(fault))
            raise self._explain(str(fault), table) from None
        log.info("CasJobs job %d submitted", job)
        return job

    def _await_table(self, table: str, job: int) -> None:
        """Wait for a job that makes `table`. Raises Vanished, or SanspecError when it failed."""
        try:
            look = self.wait(job)
        except Vanished:
            if self._find_table(table):
                return
            raise
        if look.status == FINISHED:
            return
        manifest.write_job(self.engine, table, state="failed", message=look.message)
        if look.status == FAILED and _EXISTS.search(look.message) and self._find_table(table):
            manifest.write_job(self.engine, table, state="finished")
            return
        raise self._explain(f"job {job} {STATES[look.status]}: {look.message or 'no reason given'}", table)

    def wait(self, job: int) -> Look:
        """Look at a job at growing intervals until it is cancelled, failed or finished."""
        pause, seen = self.settings.poll, -1
        while True:
            look = self.service.look(job)
            if look.status != seen:
                log.info("CasJobs job %d: %s", job, STATES[look.status])
                seen = look.status
            if look.status in (CANCELLED, FAILED, FINISHED):
                return look
            self.session.sleep(pause)
            pause = min(1.5 * pause, self.settings.poll_max)

    def _explain(self, message: str, table: str) -> SanspecError:
        """The service's complaint with what the user can do."""
        if _FULL.search(message):
            tables = self.service.tables()
            largest = sorted(tables, key=lambda name: -(tables[name] or 0))[:5]
            held = ", ".join(f"{name} ({tables[name]} rows)" for name in largest) or "nothing"
            return SanspecError(
                f"CasJobs: MyDB is full ({message[:160]}); it holds {held}: drop what you do "
                "not need and run again"
            )
        return SanspecError(f"CasJobs: {message[:400]} (table {table}); mend that and run again")


def name_table(settings: Acquire, kind: str, *parts: str) -> str:
    """Name of our table in MyDB: prefix, kind and a digest of all that it depends on."""
    digest = hashlib.sha256("\0".join((settings.release, *parts)).encode()).hexdigest()[:12]
    return f"{settings.prefix}_{kind}_{digest}"


def digest_ids(ids: Ids) -> str:
    """A digest of a list of ids in their order."""
    return hashlib.sha256(np.asarray(ids, "<u8").tobytes()).hexdigest()


def as_user_fault(fault: Refused, what: str) -> SanspecError:
    """A service that does not answer, for the user."""
    return SanspecError(f"{what}: {fault}; check acquire.services and the network, then run again")
