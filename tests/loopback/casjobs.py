"""CasJobs and SciServer's login: tokens, MyDB, jobs, in the REST form and the older HTTP-POST form."""

import csv
import io
import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl

from loopback import tsql
from loopback.server import NO_JOB, UNAUTHORISED, Reply, Request, Route
from loopback.tsql import Database, SqlFault

READY, STARTED, FAILED, FINISHED = 0, 1, 4, 5
CONTEXTS = {"dr12", "mydb"}


@dataclass
class Job:
    """One job; it advances each time it is looked at: ready, started, then finished or failed."""

    id: int
    owner: str
    name: str
    query: str
    looks: int = 0
    status: int = READY
    message: str = ""
    output: Path | None = None
    submitted: float = field(default_factory=time.time)


class CasJobs:
    """The service: `users` maps name or WSID to password; each has a MyDB file in `folder`.

    token_uses: number of requests that a token is valid for; jobs_fail: messages with which the next jobs fail;
    hide_output: number of answers to come that lack the OutputLoc.
    """

    def __init__(self, database: Database, folder: Path, users: dict[str, str]):
        self.database, self.folder, self.users = database, folder, users
        self.token_uses = 1_000_000
        self.jobs_fail: list[str] = []
        self.hide_output, self.output_prefix = 0, "/CasOut/"
        self.jobs: dict[int, Job] = {}
        self._tokens: dict[str, list] = {}
        self._ids = itertools.count(20000001)
        self._lock = threading.RLock()

    def routes(self) -> list[Route]:
        """Its addresses."""
        rest, name = "/CasJobs/RestApi", r"(?P<name>\w+)"
        context = rf"{rest}/contexts/(?P<context>\w+)"
        return [
            Route("login", "POST", "/login-portal/keystone/v3/tokens", self.login),
            Route("query", "POST", f"{context}/query", self._signed(self.query)),
            Route("submit", "PUT", f"{context}/jobs", self._signed(self.submit)),
            Route("status", "GET", rf"{rest}/jobs/(?P<id>\d*)", self._signed(self.status)),
            Route("tables", "GET", f"{context}/Tables", self._signed(self.tables)),
            Route("upload", "POST", f"{context}/Tables/{name}", self._signed(self.upload)),
            Route("soap", "POST", rf"/casjobs/services/jobs\.asmx/{name}", self.soap),
            Route("output", "GET", r"/CasOut/(?P<file>[\w.]+)", self.output),
        ]

    def mydb(self, owner: str) -> Path:
        """A user's database."""
        return self.folder / f"mydb_{owner}.sqlite"

    # ------------------------------------------------------------------------------------------------- tokens

    def login(self, request: Request) -> Reply:
        """A token for a name and a password."""
        try:
            user = json.loads(request.body)["auth"]["identity"]["password"]["user"]
            good = self.users.get(user["name"]) == user["password"]
        except (ValueError, KeyError, TypeError):
            return Reply.json({"error": {"code": 400, "title": "Bad Request"}}, 400)
        if not good:
            return Reply.json({"error": {"code": 401, "message": "Invalid username or password"}}, 401)
        token = secrets.token_hex(16)
        self._tokens[token] = [user["name"], self.token_uses]
        return Reply.json({"token": {"user": {"name": user["name"]}}}, 201, **{"X-Subject-Token": token})

    def _signed(self, answer: Callable[[Request, str], Reply]) -> Callable[[Request], Reply]:
        """`answer(request, user)` for requests whose token is known and not used up, with SQL errors as JSON."""

        def signed(request: Request) -> Reply:
            """The answer, or an error."""
            with self._lock:
                held = self._tokens.get(request.headers.get("X-Auth-Token", ""))
                if held is None or held[1] <= 0:
                    return UNAUTHORISED
                held[1] -= 1
            try:
                return answer(request, held[0])
            except SqlFault as fault:
                words = {"Error Code": 500, "Error Type": "SqlException", "Error Message": str(fault)}
                return Reply.json(words, 500)

        return signed

    # --------------------------------------------------------------------------------------------------- REST

    def query(self, request: Request, user: str) -> Reply:
        """The CSV answer to a query."""
        text = json.loads(request.body)["Query"]
        return Reply(200, self.database.run(text, self.mydb(user)).csv().encode())

    def submit(self, request: Request, user: str) -> Reply:
        """The id of a new job."""
        asked, context = json.loads(request.body), request.match["context"]
        if context.lower() not in CONTEXTS:
            return Reply.json({"Error Code": 400, "Error Message": f"Unknown context {context}"}, 400)
        return Reply(200, str(self._start(user, asked.get("TaskName", ""), asked["Query"]).id).encode())

    def _start(self, owner: str, name: str, query: str) -> Job:
        """Put a job into the queue."""
        with self._lock:
            job = Job(next(self._ids), owner, name, query)
            self.jobs[job.id] = job
            return job

    def status(self, request: Request, user: str) -> Reply:
        """One job, or all of a user's."""
        if not request.match["id"]:
            jobs = [job for job in self.jobs.values() if job.owner == user]
            return Reply.json([self._described(job, request.base) for job in jobs])
        job = self._find(user, request.match["id"])
        if job is None:
            return NO_JOB
        self._move(job)
        return Reply.json(self._described(job, request.base))

    def tables(self, request: Request, user: str) -> Reply:
        """The tables of a user's MyDB."""
        counts = self.database.tables(self.mydb(user))
        return Reply.json([{"Date": 0, "Name": name, "Rows": n, "Size": n} for name, n in counts.items()])

    def upload(self, request: Request, user: str) -> Reply:
        """Make a new table in MyDB from a CSV body."""
        columns, *rows = csv.reader(io.StringIO(request.body.decode()))
        self.database.upload(self.mydb(user), request.match["name"], columns, rows)
        return Reply.json(True)

    def _find(self, owner: str, number: str) -> Job | None:
        """A job of this owner; None where there is none."""
        job = self.jobs.get(int(number))
        return job if job is not None and job.owner == owner else None

    def _move(self, job: Job) -> None:
        """Advance a job: ready, started, then run."""
        with self._lock:
            job.looks += 1
            if job.status == READY and job.looks > 1:
                job.status = STARTED
            elif job.status == STARTED:
                self._finish(job)

    def _finish(self, job: Job) -> None:
        """Run a job's query, or export a table."""
        if self.jobs_fail:
            job.status, job.message = FAILED, self.jobs_fail.pop(0)
            return
        try:
            if job.query.startswith("EXTRACT "):
                answer = self.database.run(f"SELECT * FROM mydb.{job.query.split()[1]}", self.mydb(job.owner))
                job.output = self.folder / f"{job.query.split()[1]}_{job.id}.csv"
                job.output.write_text(answer.csv())
            else:
                self.database.run(job.query, self.mydb(job.owner))
            job.status = FINISHED
        except SqlFault as fault:
            job.status, job.message = FAILED, str(fault)

    def _described(self, job: Job, base: str) -> dict:
        """A job as JSON."""
        place = ""
        if job.output is not None and self.hide_output > 0:
            self.hide_output -= 1
        elif job.output is not None:
            place = f"{base}{self.output_prefix}{job.output.name}"
        return {
            "JobID": job.id, "Status": job.status, "TaskName": job.name, "Message": job.message,
            "OutputLoc": place, "TimeSubmit": int(1000 * job.submitted),
        }  # fmt: skip

    def output(self, request: Request) -> Reply:
        """An exported file."""
        path = self.folder / request.match["file"]
        return Reply(file=path, kind="text/csv") if path.is_file() else Reply.html()

    # --------------------------------------------------------------------------------------------------- SOAP

    def soap(self, request: Request) -> Reply:
        """One operation of jobs.asmx, its arguments posted as a form."""
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        user = form.get("wsid") or form.get("owner_wsid", "")
        if self.users.get(user) != (form.get("pw") or form.get("owner_pw", "")):
            return fault("Invalid login: wrong wsid or password")
        operation = getattr(self, f"_soap_{request.match['name'].lower()}", None)
        if operation is None:
            return Reply(500, b"Request format is unrecognized for URL")
        try:
            return operation(user, form, request.base)
        except SqlFault as error:
            return fault(str(error))

    def _soap_submitjob(self, user: str, form: dict, base: str) -> Reply:
        return element("long", self._start(user, form.get("taskname", ""), form["qry"]).id)

    def _soap_submitextractjob(self, user: str, form: dict, base: str) -> Reply:
        return element("long", self._start(user, "", f"EXTRACT {form['tableName']}").id)

    def _soap_getjobstatus(self, user: str, form: dict, base: str) -> Reply:
        job = self._find(user, form["jobId"])
        if job is None:
            return fault(f"No job with id {form['jobId']}")
        self._move(job)
        return element("int", job.status)

    def _soap_executequickjob(self, user: str, form: dict, base: str) -> Reply:
        answer = self.database.run(form["qry"], self.mydb(user))
        header = ",".join(f"[{name.split(':')[0]}]:String" for name in answer.columns)
        rows = [",".join(map(tsql.cell, row)) for row in answer.rows]
        return element("string", escape("\n".join([header, *rows]) + "\n"))

    def _soap_uploaddata(self, user: str, form: dict, base: str) -> Reply:
        columns, *rows = csv.reader(io.StringIO(form["data"]))
        append = form.get("tableExists", "").lower() == "true"
        self.database.upload(self.mydb(user), form["tableName"], columns, rows, append)
        return element("string", "")

    def _soap_getjobs(self, user: str, form: dict, base: str) -> Reply:
        wanted = form.get("conditions", "").partition(":")[2].strip()
        jobs = [job for job in self.jobs.values() if job.owner == user and wanted in ("", str(job.id))]
        items = (self._described(job, base).items() for job in jobs)
        inner = "".join(
            "<CJJob>" + "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in item if v != "") + "</CJJob>"
            for item in items
        )
        return element("ArrayOfCJJob", inner)


def element(kind: str, content) -> Reply:
    """An XML element as the service returns it; `content` is XML already."""
    text = f'<{kind} xmlns="http://Services.Cas.jhu.edu">{content}</{kind}>'
    return Reply(200, f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode(), "text/xml; charset=utf-8")


def fault(message: str) -> Reply:
    """An exception as ASP.NET shows it, with HTTP 500 and a traceback."""
    text = f"System.Exception: {message} ---> System.Data.SqlClient.SqlException\n   at Jobs.Run()\n"
    return Reply(500, text.encode(), "text/plain")
