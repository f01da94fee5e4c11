"""CasJobs by the HTTP-POST form of its older SOAP service, with WSID and password (jobs.asmx).

Arguments are posted as a form, never put into the address, which the service would log.
"""

import logging
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np

from sanspec.archive import answers, download
from sanspec.archive.answers import SqlError
from sanspec.archive.casjobs import FINISHED, CasJobs, Ids, JobStatus, Vanished
from sanspec.archive.session import Answer, Refused, Transient
from sanspec.config.acquisition import LOOPBACK
from sanspec.database.query import TABLE
from sanspec.errors import SanspecError
from sanspec.survey.fitsrows import Damaged

log = logging.getLogger(__name__)

UPLOAD_ROWS = 50_000  # rows per form: a few megabytes
_HOSTS = (".sdss.org", ".sdss3.org", ".jhu.edu", ".sciserver.org")  # where OutputLoc may point
_LOGIN = re.compile(r"login|password|wsid", re.I)
_GONE = re.compile(r"no job with|not found|does not exist", re.I)

T = TypeVar("T")


class SoapCasJobs(CasJobs):
    """A user's CasJobs by WSID."""

    # -------------------------------------------------------------------------------------------------- calls

    def _post(
        self,
        operation: str,
        read: Callable[[ElementTree.Element], T],
        *,
        repeatable: bool = True,
        prefix: str = "",
        **form,
    ) -> T:
        """What `read` makes of an operation's XML answer. Raises SqlError, Vanished or SanspecError for errors.

        prefix: of the names under which the operation expects WSID and password.
        """
        password = self._credentials.password.get_secret_value()
        return self._send(
            "POST",
            f"{self._settings.services.casjobs_soap}/{operation}",
            lambda answer: read(self._parsed(answer)),
            data={f"{prefix}wsid": self._credentials.user, f"{prefix}pw": password} | form,
            repeatable=repeatable,
            final=partial(answers.is_database_error, marks=(b"Exception",)),
        )

    def _parsed(self, answer: Answer) -> ElementTree.Element:
        """An answer's XML. Raises Transient where it is none, or declares entities (which may explode)."""
        if answer.status != 200:
            words = self._credentials.redact(answers.text_of(answer.body))
            if _GONE.search(words):
                raise Vanished(words)
            if _LOGIN.search(words):
                raise SanspecError(
                    f"CasJobs does not accept the WSID {self._credentials.user!r} with this password: check "
                    f"SANSPEC_CASJOBS_WSID and SANSPEC_CASJOBS_PASSWORD ({words[:100]})"
                )
            raise SqlError(words, answer.status)
        if b"<!DOCTYPE" in answer.body or b"<!ENTITY" in answer.body:
            raise Transient("HTML page with status 200")
        try:
            return ElementTree.fromstring(answer.body)
        except ElementTree.ParseError:
            raise Transient("not XML") from None

    def _ask(self, text: str, read: Callable[[str], T]) -> T:
        """What `read` makes of the CSV answer to a query; asked again where it raises Transient."""
        form = {"qry": text, "context": "MyDB", "taskname": self._settings.prefix, "isSystem": "false"}
        return self._post("ExecuteQuickJob", lambda element: read(element.text or ""), **form)

    # ------------------------------------------------------------------------------------------------ service

    def tables(self) -> dict[str, int | None]:
        """Names of the tables in MyDB; the service does not give their rows."""
        text = self._ask("SELECT Distinct TABLE_NAME FROM information_schema.TABLES", str)
        return {line.strip('" \r'): None for line in text.splitlines()[1:] if line.strip()}

    def upload(self, table: str, ids: Ids, columns: Sequence[str]) -> None:
        """Make a table of ids in MyDB, in parts."""
        for first in range(0, len(ids), UPLOAD_ROWS):
            rows = np.asarray(ids[first : first + UPLOAD_ROWS]).tolist()
            text = "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"
            form = {"tableName": table, "data": text, "tableExists": "true" if first else "false"}
            try:
                self._post("UploadData", lambda element: None, repeatable=False, **form)
            except Transient:  # it may have arrived: the caller counts the rows
                log.info("the connection broke during the upload")
                return

    def _queue(self, text: str, name: str) -> int:
        """Submit a query once and return the job's id; one without a name exports the table `text` as CSV."""
        job = {"qry": text, "context": self._settings.release, "taskname": name, "estimate": "30"}
        export = {"tableName": text, "type": "CSV"}
        operation, form = ("SubmitJob", job) if name else ("SubmitExtractJob", export)
        return self._post(operation, lambda element: int(element.text), repeatable=False, **form)

    def _jobs(self, conditions: str = "") -> list[dict[str, str]]:
        """Jobs of the user that meet the conditions."""
        form = {"conditions": conditions, "includeSystem": "false"}
        items = self._post("GetJobs", list, prefix="owner_", **form)
        return [{part.tag.rpartition("}")[2]: part.text or "" for part in item} for item in items]

    def look(self, job: int) -> JobStatus:
        """The status of a job. Raises Vanished."""
        state = self._post("GetJobStatus", lambda element: int(element.text), jobId=str(job))
        about = next(iter(self._jobs(f"jobid : {job}")), {})
        return JobStatus(state, about.get("Message", ""), about.get("OutputLoc", ""))

    def fetch(self, table: str, folder: Path) -> list[Path]:
        """A table as one CSV file below `folder`, exported by CasJobs and downloaded."""
        path = folder / f"{table}.csv"
        if not path.exists():
            url = self._export(table)
            try:
                download.fetch(self._session, url, path, _check_csv)
            except Refused as fault:
                raise fault.explain(f"CasJobs' output {url}") from None
        return [path]

    def _export(self, table: str) -> str:
        """Address of a table's CSV export, checked."""
        for _ in range(3):
            job = self.submit(table, "")
            status = self.wait(job)
            for _ in range(3):  # the address can appear later than the state
                if status.output:
                    return self._checked(status.output)
                if status.state != FINISHED:
                    break
                self._session.sleep(self._settings.poll)
                status = self.look(job)
            words = status.message or status.state
            log.warning("export job %d ended without an address (%s): exporting again", job, words)
        raise SanspecError(f"CasJobs exports MyDB.{table} without giving its address: run again later")

    def _checked(self, url: str) -> str:
        """An OutputLoc that points to the service and stays in its folder. Raises SanspecError otherwise."""
        parts, home = urlsplit(url), urlsplit(self._settings.services.casjobs_soap)
        host = parts.netloc
        known = home.hostname not in LOOPBACK and host.endswith(_HOSTS) and "@" not in host
        leaves = ".." in unquote(parts.path).split("/")
        if parts.scheme not in ("http", "https") or leaves or not (known or host == home.netloc):
            raise SanspecError(
                f"CasJobs gives {url!r} as its output: this is not an address of CasJobs, so nothing was fetched"
            )
        return url


def _check_csv(path: Path) -> None:
    """Raises Damaged where a file is not a complete CSV answer to the query."""
    try:
        with path.open(newline="") as file:
            for _ in answers.read(file, TABLE):
                pass
    except Transient as fault:
        raise Damaged(str(fault)) from None
