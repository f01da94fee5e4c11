"""CasJobs by the HTTP-POST form of its older SOAP service, with WSID and password (jobs.asmx).

Arguments are posted as a form, never put in the address: the service would log it.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np

from sanspec.archive import answers, download
from sanspec.archive.answers import SqlError
from sanspec.archive.casjobs import FINISHED, Ids, Look, Vanished, as_user_fault
from sanspec.archive.credentials import Credentials
from sanspec.archive.session import LOOPBACK, Answer, Refused, Session, Transient
from sanspec.config import Acquire
from sanspec.database.query import TABLE
from sanspec.errors import SanspecError
from sanspec.survey.fitsrows import Damaged

log = logging.getLogger(__name__)

UPLOAD_ROWS = 50_000  # a form of a few megabytes
_HOSTS = (".sdss.org", ".sdss3.org", ".jhu.edu", ".sciserver.org")  # where OutputLoc may point
_LOGIN = re.compile(r"login|password|wsid", re.I)
_GONE = re.compile(r"no job with|not found|does not exist", re.I)


class SoapCasJobs:
    """A user's CasJobs by WSID."""

    def __init__(self, session: Session, settings: Acquire, credentials: Credentials):
        self._session, self._settings, self._credentials = session, settings, credentials

    # -------------------------------------------------------------------------------------------------- calls

    def _post(
        self, operation: str, *, repeatable: bool = True, owner: bool = False, **form
    ) -> ElementTree.Element:
        """The XML answer of an operation. Raises SqlError, Vanished or SanspecError."""
        prefix = "owner_" if owner else ""
        secret = {
            f"{prefix}wsid": self._credentials.user,
            f"{prefix}pw": self._credentials.password.get_secret_value(),
        }
        url = f"{self._settings.services.casjobs_soap}/{operation}"
        try:
            answer = self._session.call(
                "POST", url, data=secret | form, secret=True, repeatable=repeatable, final=_has_exception
            )
        except Refused as fault:
            raise as_user_fault(fault, "CasJobs") from None
        if answer.status != 200:
            self._complain(answer)
        return _xml(answer)

    def _complain(self, answer: Answer) -> None:
        """Raise what an error means, without the password should it be echoed."""
        words = self._credentials.redact(answers.text_of(answer.body))
        if _GONE.search(words):
            raise Vanished(words)
        if _LOGIN.search(words):
            raise SanspecError(
                f"CasJobs does not accept the WSID {self._credentials.user!r} with this password: check "
                f"SANSPEC_CASJOBS_WSID and SANSPEC_CASJOBS_PASSWORD ({words[:100]})"
            )
        raise SqlError(words, answer.status)

    def _ask(self, query: str, context: str = "MyDB") -> str:
        """The CSV answer to a quick query."""
        form = {"qry": query, "context": context, "taskname": self._settings.prefix, "isSystem": "false"}

        def once() -> str:
            """One try."""
            return self._post("ExecuteQuickJob", **form).text or ""

        return self._session.retry(once)

    # ------------------------------------------------------------------------------------------------ service

    def tables(self) -> dict[str, int | None]:
        """Names of the tables in MyDB; the service does not tell their rows."""
        text = self._ask("SELECT Distinct TABLE_NAME FROM information_schema.TABLES")
        return {line.strip('" \r'): None for line in text.splitlines()[1:] if line.strip()}

    def count(self, table: str) -> int:
        """Rows of a table in MyDB, of different specObjID."""
        return answers.count_in(self._session, lambda: self._ask(answers.COUNT.format(table)))

    def row(self, table: str, columns: Sequence[str], specobjid: int) -> tuple[int, ...]:
        """The ids that a table in MyDB holds for an object; none where they are not whole numbers."""
        query = answers.ROW.format(", ".join(columns), table, int(specobjid))
        return answers.row_in(self._session, lambda: self._ask(query), columns)

    def upload(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Make a table in MyDB of ids, in parts."""
        for first in range(0, len(ids), UPLOAD_ROWS):
            rows = np.asarray(ids[first : first + UPLOAD_ROWS]).tolist()
            text = "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"
            exists = "true" if first else "false"
            try:
                self._post("UploadData", repeatable=False, tableName=table, data=text, tableExists=exists)
            except Transient:  # it may have arrived: the caller counts the rows
                log.info("the connection broke while the list was uploaded")
                return

    def drop(self, table: str) -> None:
        """Remove a table from MyDB; no fault where it is gone."""
        try:
            self._ask(f"DROP TABLE {table}")
        except SqlError as fault:
            if "Invalid object name" not in str(fault) and "does not exist" not in str(fault):
                raise

    def submit(self, query: str, name: str) -> int:
        """Queue a query; the job's id. After a broken connection it is looked up, not sent twice."""
        form = {"qry": query, "context": self._settings.release, "taskname": name, "estimate": "30"}
        return self._queued("SubmitJob", form, name)

    def _queued(self, operation: str, form: dict, name: str) -> int:
        """The id of a job that `operation` makes, made once even where the connection breaks."""
        for _ in range(self._settings.http.attempts):
            try:
                return int(self._post(operation, repeatable=False, **form).text)
            except Transient:
                self._session.sleep(self._session.backoff(1))
                if name and (found := self.find(name)) is not None:
                    return found
        raise SanspecError("CasJobs does not take the job: the connection breaks each time; run again later")

    def _jobs(self, conditions: str) -> list[dict[str, str]]:
        """Jobs with all that is told of them."""

        def once() -> ElementTree.Element:
            """One try."""
            return self._post("GetJobs", owner=True, conditions=conditions, includeSystem="false")

        items = self._session.retry(once)
        return [{_bare(part.tag): part.text or "" for part in item} for item in items]

    def find(self, name: str) -> int | None:
        """The latest job of our name for it."""
        jobs = [int(job["JobID"]) for job in self._jobs("") if job.get("TaskName") == name]
        return max(jobs, default=None)

    def look(self, job: int) -> Look:
        """How a job stands. Raises Vanished."""

        def once() -> ElementTree.Element:
            """One try."""
            return self._post("GetJobStatus", jobId=str(job))

        status = int(self._session.retry(once).text)
        about = next(iter(self._jobs(f"jobid : {job}")), {})
        return Look(status, about.get("Message", ""), about.get("OutputLoc", ""))

    def fetch(self, table: str, folder: Path) -> list[Path]:
        """A table as one CSV file below `folder`: exported by CasJobs, downloaded, resumed."""
        path = folder / f"{table}.csv"
        if not path.exists():
            url = self._export(table)
            try:
                download.fetch(self._session, url, path, _check_csv)
            except Refused as fault:
                raise as_user_fault(fault, f"CasJobs' output {url}") from None
        return [path]

    def _export(self, table: str) -> str:
        """Address of a table's CSV export, checked."""
        for _ in range(3):
            job = self._queued("SubmitExtractJob", {"tableName": table, "type": "CSV"}, "")
            look = self.look(job)
            while look.status < FINISHED - 2:
                self._session.sleep(self._settings.poll)
                look = self.look(job)
            for _ in range(3):  # the address can lag behind the state
                if look.output:
                    return self._checked(look.output)
                if look.status != FINISHED:
                    break
                self._session.sleep(self._settings.poll)
                look = self.look(job)
            log.warning(
                "export job %d ended without an address (%s): exporting again",
                job,
                look.message or look.status,
            )
        raise SanspecError(f"CasJobs exports MyDB.{table} without saying where to: run again later")

    def _checked(self, url: str) -> str:
        """An OutputLoc that points to the service, and stays in its folder. Raises SanspecError otherwise."""
        parts, home = urlsplit(url), urlsplit(self._settings.services.casjobs_soap)
        host = parts.netloc
        abroad = home.hostname not in LOOPBACK and host.endswith(_HOSTS) and "@" not in host
        wanders = ".." in unquote(parts.path).split("/")
        if parts.scheme not in ("http", "https") or wanders or not (abroad or host == home.netloc):
            raise SanspecError(
                f"CasJobs names {url!r} as its output: not an address of CasJobs, so nothing was fetched"
            )
        return url


def _check_csv(path: Path) -> None:
    """Raises Damaged where a file is not a whole CSV answer of the query."""
    try:
        with path.open(newline="") as file:
            for _ in answers.read(file, TABLE):
                pass
    except Transient as fault:
        raise Damaged(str(fault)) from None


def _has_exception(answer: Answer) -> bool:
    """Whether a 500 is the service's word, not a passing fault."""
    return answer.status == 500 and b"Exception" in answer.body[:4000]


def _xml(answer: Answer) -> ElementTree.Element:
    """An answer's XML. Raises Transient where it is none, or declares entities (they may explode)."""
    if b"<!DOCTYPE" in answer.body or b"<!ENTITY" in answer.body:
        raise Transient("HTML page with status 200")
    try:
        return ElementTree.fromstring(answer.body)
    except ElementTree.ParseError:
        raise Transient("not XML") from None


def _bare(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]
