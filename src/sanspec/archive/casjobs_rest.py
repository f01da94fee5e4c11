"""CasJobs by REST with a token of SciServer's login portal (as the SciServer clients use it)."""

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanspec import store
from sanspec.archive import answers
from sanspec.archive.answers import SqlError
from sanspec.archive.casjobs import Ids, Look, Vanished, as_user_fault
from sanspec.archive.credentials import Credentials
from sanspec.archive.session import Answer, Refused, Session, Transient
from sanspec.config import Acquire
from sanspec.database.query import TABLE
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

_LOGINS = 2  # fresh tokens for one request
_CSV, _JSON = "text/plain", "application/json+array"


class RestCasJobs:
    """A user's CasJobs; logs in when it has to, and once more when its token has run out."""

    def __init__(self, session: Session, settings: Acquire, credentials: Credentials):
        self._session, self._settings, self._credentials = session, settings, credentials
        self._token: str | None = None

    # -------------------------------------------------------------------------------------------------- calls

    def _login(self) -> str:
        """A fresh token, asked for once. Raises SanspecError where name or password are wrong."""
        secret = {"name": self._credentials.user, "password": self._credentials.password.get_secret_value()}
        body = {"auth": {"identity": {"password": {"user": secret}}}}
        answer = self._session.call("POST", self._settings.services.login, json=body, secret=True)
        token = answer.headers.get("X-Subject-Token")
        if answer.status == 401 or answer.status == 403:
            raise SanspecError(
                f"SciServer does not accept the user {self._credentials.user!r} with this password: check "
                "SANSPEC_SCISERVER_USER and SANSPEC_SCISERVER_PASSWORD (or the keyring)"
            )
        if token is None:
            words = self._credentials.redact(answers.text_of(answer.body))
            raise SanspecError(
                f"SciServer's login answered HTTP {answer.status} without a token ({words}): check "
                "acquire.services.login, or run again later"
            )
        return token

    def _call(
        self, method: str, path: str, *, accept: str = _JSON, repeatable: bool = True, **options
    ) -> Answer:
        """An answer of the service with status 200. Raises SqlError, Vanished or SanspecError for others."""
        try:
            answer = self._signed(method, path, accept, repeatable, options)
            for _ in range(_LOGINS):
                if answer.status != 401:
                    break
                log.info("the token has run out: logging in again")
                self._token = None
                answer = self._signed(method, path, accept, repeatable, options)
        except Refused as fault:
            raise as_user_fault(fault, "CasJobs") from None
        if answer.status == 401:
            raise SanspecError(
                "CasJobs does not accept SciServer's token: is this account enabled for CasJobs?"
            )
        if answer.status == 404:
            raise Vanished(answers.text_of(answer.body))
        if answer.status != 200:
            raise SqlError(answers.text_of(answer.body), answer.status)
        if answer.body.lstrip().startswith(b"<"):
            raise Transient("HTML page with status 200")
        return answer

    def _signed(self, method: str, path: str, accept: str, repeatable: bool, options: dict) -> Answer:
        """An answer to a request that carries the token."""
        self._token = self._token or self._login()
        headers = {"X-Auth-Token": self._token, "Accept": accept, "Content-Type": "application/json"}
        url = f"{self._settings.services.casjobs}{path}"
        final = _is_database_error
        return self._session.call(
            method, url, headers=headers, secret=True, repeatable=repeatable, final=final, **options
        )

    def _ask(self, query: str, context: str = "MyDB") -> str:
        """The CSV answer to a query that changes nothing."""
        body = {"Query": query, "TaskName": self._settings.prefix}

        def once() -> str:
            """One try."""
            return self._call("POST", f"/contexts/{context}/query", accept=_CSV, json=body).text

        return self._session.retry(once)

    # ------------------------------------------------------------------------------------------------ service

    def tables(self) -> dict[str, int | None]:
        """Names of the tables in MyDB with their rows."""

        def once() -> list:
            """One try."""
            return _parsed(self._call("GET", "/contexts/MyDB/Tables"))

        return {item["Name"]: item.get("Rows") for item in self._session.retry(once)}

    def count(self, table: str) -> int:
        """Rows of a table in MyDB, of different specObjID."""
        return answers.count_in(self._session, lambda: self._ask(answers.COUNT.format(table)))

    def row(self, table: str, columns: Sequence[str], specobjid: int) -> tuple[int, ...]:
        """The ids that a table in MyDB holds for an object; none where they are not whole numbers."""
        query = answers.ROW.format(", ".join(columns), table, int(specobjid))
        return answers.row_in(self._session, lambda: self._ask(query), columns)

    def upload(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Make a table in MyDB of ids."""
        body = io.BytesIO()  # text of 659,857 pairs is 26 MB, lists of them several hundred
        np.savetxt(body, np.asarray(ids), "%d", ",", header=",".join(columns), comments="")
        try:
            path = f"/contexts/MyDB/Tables/{table}"
            self._call("POST", path, data=body.getvalue(), repeatable=False)
        except Transient:  # it may have arrived: the caller counts the rows
            log.info("the connection broke while the list was uploaded")

    def drop(self, table: str) -> None:
        """Remove a table from MyDB; no fault where it is gone."""
        try:
            self._ask(f"DROP TABLE {table}")
        except SqlError as fault:
            if "Invalid object name" not in str(fault) and "does not exist" not in str(fault):
                raise

    def submit(self, query: str, name: str) -> int:
        """Queue a query; the job's id. After a broken connection it is looked up, not sent twice."""
        body = {"Query": query, "TaskName": name}
        path = f"/contexts/{self._settings.release}/jobs"
        for _ in range(self._settings.http.attempts):
            try:
                return int(
                    self._call("PUT", path, accept=_CSV, json=body, repeatable=False).text.strip(' "\r\n')
                )
            except Transient:
                self._session.sleep(self._session.backoff(1))
                if (found := self.find(name)) is not None:
                    return found
            except ValueError:
                raise SanspecError("CasJobs answered a submission with something that is no job id") from None
        raise SanspecError("CasJobs does not take the job: the connection breaks each time; run again later")

    def find(self, name: str) -> int | None:
        """The latest job of our name for it."""

        def once() -> list:
            """One try."""
            return _parsed(self._call("GET", "/jobs/"))

        jobs = [int(job["JobID"]) for job in self._session.retry(once) if job.get("TaskName") == name]
        return max(jobs, default=None)

    def look(self, job: int) -> Look:
        """How a job stands. Raises Vanished."""

        def once() -> dict:
            """One try."""
            return _parsed(self._call("GET", f"/jobs/{job}"))

        found = self._session.retry(once)
        return Look(int(found["Status"]), str(found.get("Message") or ""), str(found.get("OutputLoc") or ""))

    def fetch(self, table: str, folder: Path) -> list[Path]:
        """The rows of a table as pages of CSV below `folder`, in the order of specObjID."""
        count, pages, last, have = self.count(table), [], -1, 0
        while have < count:
            path = folder / f"{table}-{len(pages):05d}.csv"
            rows, last = self._page(table, path, last)
            have += rows
            pages.append(path)
            log.info("%s: page %d, %d of %d rows", table, len(pages), have, count)
        return pages

    def _page(self, table: str, path: Path, last: int) -> tuple[int, int]:
        """Fetch the page behind specObjID `last` unless it is there; its objects and its last specObjID."""
        where = f"WHERE specObjID > {last} ORDER BY specObjID"
        query = f"SELECT TOP {self._settings.page} * FROM MyDB.{table} {where}"

        def once() -> str:
            """One try."""
            text = self._ask(query)
            if not len(answers.read_text(text, TABLE)):  # also raises where a row is cut short
                raise Transient("answer cut short: no rows")
            return text

        if not path.exists():
            with store.atomic(path) as temporary:
                temporary.write_text(self._session.retry(once))
        ids = answers.read_text(path.read_text(), TABLE)["specObjID"]
        return ids.nunique(), int(ids.max())


def _is_database_error(answer: Answer) -> bool:
    """Whether a 500 is the database's word on the query."""
    return answer.status == 500 and answers.is_database_error(answer.body)


def _parsed(answer: Answer):
    """An answer's JSON. Raises Transient where it is none."""
    try:
        return json.loads(answer.body)
    except ValueError:
        raise Transient("not JSON") from None
