"""CasJobs: what its two forms have in common. Each can upload a list, run a query as a job, and fetch a table."""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt64

from sanspec.archive import answers
from sanspec.archive.answers import SqlError
from sanspec.archive.credentials import Credentials
from sanspec.archive.session import Answer, Refused, Session, Transient
from sanspec.config import Acquire
from sanspec.database.query import END, Column
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

Ids = UInt64[np.ndarray, "gal id"]
STATES = ("ready", "started", "being cancelled", "cancelled", "failed", "finished")
CANCELLED, FAILED, FINISHED = 3, 4, 5
POLL_MAX = 60.0  # seconds: the longest wait between two questions about a job

T = TypeVar("T")


class Vanished(Exception):
    """CasJobs no longer knows the job."""


@dataclass(frozen=True)
class JobStatus:
    """A job's state (an index of STATES), the service's message, and the address of its output (may be empty)."""

    state: int
    message: str = ""
    output: str = ""


class CasJobs(ABC):
    """A user's CasJobs, in one of its two forms. Every method raises SanspecError on wrong credentials."""

    def __init__(self, session: Session, settings: Acquire, credentials: Credentials):
        self._session, self._settings, self._credentials = session, settings, credentials

    @abstractmethod
    def _ask(self, text: str, read: Callable[[str], T]) -> T:
        """What `read` makes of the CSV answer to a query; asked again where it raises Transient."""

    @abstractmethod
    def tables(self) -> dict[str, int | None]:
        """Names of the tables in MyDB with their rows, where the service gives them."""

    @abstractmethod
    def upload(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Make a table of ids in MyDB."""

    @abstractmethod
    def look(self, job: int) -> JobStatus:
        """The status of a job. Raises Vanished."""

    @abstractmethod
    def fetch(self, table: str, folder: Path) -> list[Path]:
        """The rows of a table as CSV files below `folder`; files that exist are not fetched again."""

    @abstractmethod
    def _jobs(self) -> list[dict]:
        """All jobs of the user, with at least JobID and TaskName."""

    @abstractmethod
    def _queue(self, text: str, name: str) -> int:
        """Submit a query once and return the job's id. Raises Transient where the answer is lost."""

    def _send(self, method: str, url: str, read: Callable[[Answer], T], **options) -> T:
        """What `read` makes of an answer to a request with a credential; see `Session.call`."""
        try:
            return self._session.call(method, url, read, secret=True, **options)
        except SqlError:
            raise
        except Refused as fault:
            raise fault.explain("CasJobs") from None

    def count(self, table: str) -> int:
        """Number of different specObjID in a table in MyDB."""

        def read(text: str) -> int:
            """The number, if the answer is complete."""
            found = re.fullmatch(r"[^\n]*\n\"?(\d+)\"?,\"?end\"?", text.strip().replace("\r", ""))
            if found is None:
                raise Transient("answer cut short: no number")
            return int(found[1])

        return self._ask(f"SELECT COUNT(DISTINCT specObjID) as n, 'end' as fin FROM MyDB.{table}", read)

    def row(self, table: str, names: Sequence[str], specobjid: int) -> tuple[int, ...]:
        """The ids that a table in MyDB holds for an object; an empty tuple where they are not whole numbers."""
        columns = [*(Column(name, name, "id") for name in names), END]

        def read(text: str) -> tuple[int, ...]:
            """The ids of the first row."""
            try:
                frame = answers.read_text(text, columns)
            except SanspecError:
                return ()
            if not len(frame):
                raise Transient("answer cut short: no row")
            return tuple(int(frame[name][0]) for name in names)

        columns_text, key = ", ".join(names), int(specobjid)
        return self._ask(
            f"SELECT TOP 1 {columns_text}, 'end' as fin FROM MyDB.{table} WHERE specObjID = {key}", read
        )

    def drop(self, table: str) -> None:
        """Remove a table from MyDB, if it is there."""
        try:
            self._ask(f"DROP TABLE {table}", str)
        except SqlError as fault:
            if "Invalid object name" not in str(fault) and "does not exist" not in str(fault):
                raise

    def submit(self, text: str, name: str) -> int:
        """Submit a query and return the job's id. If the answer is lost, the job is looked up, not sent twice."""
        for _ in range(self._settings.http.attempts):
            try:
                return self._queue(text, name)
            except Transient:
                self._session.sleep(self._session.backoff(1))
                if name and (found := self.find(name)) is not None:
                    return found
        raise SanspecError(
            "CasJobs does not accept the job: the connection breaks each time; run again later"
        )

    def find(self, name: str) -> int | None:
        """The id of the latest job of that name."""
        return max((int(job["JobID"]) for job in self._jobs() if job.get("TaskName") == name), default=None)

    def wait(self, job: int) -> JobStatus:
        """The status of a job once it is cancelled, failed or finished; asked for at growing intervals."""
        pause, seen = self._settings.poll, None
        while True:
            status = self.look(job)
            if status.state != seen:
                log.info("CasJobs job %d: %s", job, STATES[status.state])
                seen = status.state
            if status.state in (CANCELLED, FAILED, FINISHED):
                return status
            self._session.sleep(pause)
            pause = min(1.5 * pause, POLL_MAX)
