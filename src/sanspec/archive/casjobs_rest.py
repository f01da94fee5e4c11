"""CasJobs by REST, with a token from SciServer's login portal (as the SciServer clients use it)."""

import io
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from sanspec import store
from sanspec.archive import answers
from sanspec.archive.answers import SqlError
from sanspec.archive.casjobs import CasJobs, Ids, JobStatus, Vanished
from sanspec.archive.session import Answer, Transient
from sanspec.database.query import TABLE
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

PAGE = 20_000  # rows fetched from a table at a time: about 10 MB
_LOGINS = 3  # tokens tried for one request
_CSV, _JSON = "text/plain", "application/json+array"

T = TypeVar("T")


class RestCasJobs(CasJobs):
    """A user's CasJobs by REST; logs in at the first request, and again when its token has expired."""

    _token: str | None = None

    # -------------------------------------------------------------------------------------------------- calls

    def _login(self) -> str:
        """A new token. Raises SanspecError where name or password is wrong, after a single try."""
        secret = {"name": self._credentials.user, "password": self._credentials.password.get_secret_value()}
        body = {"auth": {"identity": {"password": {"user": secret}}}}
        answer = self._send("POST", self._settings.services.login, lambda answer: answer, json=body)
        token = answer.headers.get("X-Subject-Token")
        if answer.status in (401, 403):
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
        self,
        method: str,
        path: str,
        read: Callable[[Answer], T] = lambda answer: json.loads(answer.body),
        *,
        accept: str = _JSON,
        **options,
    ) -> T:
        """What `read` makes of an answer with status 200. Raises SqlError, Vanished or SanspecError for others."""

        def judged(answer: Answer) -> T:
            """As `read`, once the answer has been accepted."""
            if answer.status == 401:
                raise PermissionError
            if answer.status == 404:
                raise Vanished(answers.text_of(answer.body))
            if answer.status != 200:
                raise SqlError(answers.text_of(answer.body), answer.status)
            if answer.body.lstrip().startswith(b"<"):
                raise Transient("HTML page with status 200")
            try:
                return read(answer)
            except (json.JSONDecodeError, UnicodeDecodeError):
                raise Transient("not JSON") from None

        for _ in range(_LOGINS):
            self._token = self._token or self._login()
            headers = {"X-Auth-Token": self._token, "Accept": accept, "Content-Type": "application/json"}
            options |= {"headers": headers, "final": answers.is_database_error}
            try:
                return self._send(method, f"{self._settings.services.casjobs}{path}", judged, **options)
            except PermissionError:
                log.info("CasJobs does not accept the token any more: logging in again")
                self._token = None
        raise SanspecError("CasJobs does not accept SciServer's token: is this account enabled for CasJobs?")

    def _ask(self, text: str, read: Callable[[str], T]) -> T:
        """What `read` makes of the CSV answer to a query; asked again where it raises Transient."""
        body = {"Query": text, "TaskName": self._settings.prefix}
        path = "/contexts/MyDB/query"
        return self._call("POST", path, lambda answer: read(answer.text), accept=_CSV, json=body)

    # ------------------------------------------------------------------------------------------------ service

    def tables(self) -> dict[str, int | None]:
        """Names of the tables in MyDB with their rows."""
        return {item["Name"]: item.get("Rows") for item in self._call("GET", "/contexts/MyDB/Tables")}

    def upload(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Make a table of ids in MyDB."""
        body = io.BytesIO()  # 659,857 pairs are 26 MB as text, several hundred MB as Python lists
        np.savetxt(body, np.asarray(ids), "%d", ",", header=",".join(columns), comments="")
        path = f"/contexts/MyDB/Tables/{table}"
        try:
            self._call("POST", path, lambda answer: None, data=body.getvalue(), repeatable=False)
        except Transient:  # it may have arrived: the caller counts the rows
            log.info("the connection broke during the upload")

    def _jobs(self) -> list[dict]:
        """All jobs of the user."""
        return self._call("GET", "/jobs/")

    def _queue(self, text: str, name: str) -> int:
        """Submit a query once and return the job's id."""
        path, body = f"/contexts/{self._settings.release}/jobs", {"Query": text, "TaskName": name}
        options = {"accept": _CSV, "json": body, "repeatable": False}
        found = self._call("PUT", path, lambda answer: answer.text.strip(' "\r\n'), **options)
        if not found.isdecimal():
            raise SanspecError("CasJobs answered a submission with something that is not a job id")
        return int(found)

    def look(self, job: int) -> JobStatus:
        """The status of a job. Raises Vanished."""
        found = self._call("GET", f"/jobs/{job}")
        return JobStatus(
            int(found["Status"]), str(found.get("Message") or ""), str(found.get("OutputLoc") or "")
        )

    def fetch(self, table: str, folder: Path) -> list[Path]:
        """The rows of a table as pages of CSV below `folder`, in order of specObjID."""
        count, pages, last, have = self.count(table), [], -1, 0
        while have < count:
            path = folder / f"{table}-{len(pages):05d}.csv"
            if not path.exists():
                self._fetch_page(table, path, last)
            ids = answers.read_text(path.read_text(), TABLE)["specObjID"]
            have, last = have + ids.nunique(), int(ids.max())
            pages.append(path)
            log.info("%s: page %d, %d of %d rows", table, len(pages), have, count)
        return pages

    def _fetch_page(self, table: str, path: Path, last: int) -> None:
        """Fetch the rows that follow specObjID `last` to `path`."""

        def read(text: str) -> str:
            """The text of a complete page."""
            if not len(answers.read_text(text, TABLE)):  # which also raises where a row is cut short
                raise Transient("answer cut short: no rows")
            return text

        where = f"WHERE specObjID > {last} ORDER BY specObjID"
        text = self._ask(f"SELECT TOP {PAGE} * FROM MyDB.{table} {where}", read)
        with store.atomic(path) as temporary:
            temporary.write_text(text)
