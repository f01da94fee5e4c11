"""SkyServer's anonymous SQL, in its present and its older form."""

import json
import threading
import time
from collections import deque

from loopback import tsql
from loopback.server import Reply, Request, Route
from loopback.tsql import Database, SqlFault

MAX_QUERY_STRING = 2048  # ASP.NET's
TOO_LONG = (
    b"<html><body><h1>Bad Request - Invalid URL</h1><p>The length of the query string for this request "
    b"exceeds the configured maxQueryStringLength value.</p></body></html>"
)


class SkyServer:
    """SQL for everyone: `per_minute` queries a minute, `rows` rows an answer."""

    def __init__(self, database: Database, per_minute: int = 60, rows: int = 500_000):
        self.database, self.per_minute, self.rows = database, per_minute, rows
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Its addresses."""
        new = r"/dr\d+/SkyServerWS/SearchTools/SqlSearch"
        old = r"/dr\d+/en/tools/search/x_(?:results|sql)\.aspx?"
        return [Route("sql", "GET", new, self.search), Route("sql", "GET", old, self.search)]

    def search(self, request: Request) -> Reply:
        """The answer to `cmd`."""
        wanted = {name.lower(): value for name, value in request.query.items()}
        text, form = wanted.get("cmd", ""), wanted.get("format", "csv").lower()
        if len(text) > MAX_QUERY_STRING:
            return Reply(400, TOO_LONG, "text/html")
        if self._throttled():
            words = (
                f'"ERROR: Maximum {self.per_minute} queries allowed per minute. Rejected query: {text[:60]}"'
            )
            return Reply(200, f"#Table1\nerror_message\n{words}\n".encode())
        try:
            answer = self.database.run(text, limit=self.rows)
        except SqlFault as fault:
            return refusal(str(fault), form)
        if form == "json":
            rows = [dict(zip(answer.columns, row)) for row in answer.rows]
            return Reply(
                200, json.dumps([{"TableName": "Table1", "Rows": rows}]).encode(), "application/json"
            )
        return Reply(200, tsql.as_csv(answer, "#Table1\n").encode())

    def _throttled(self) -> bool:
        """Whether this query is one too many."""
        with self._lock:
            now = time.monotonic()
            while self._times and now - self._times[0] > 60:
                self._times.popleft()
            if len(self._times) >= self.per_minute:
                return True
            self._times.append(now)
            return False


def refusal(message: str, form: str) -> Reply:
    """SkyServer's error: a page with status 200 for format=html, else JSON with its status."""
    if form == "html":
        page = (
            f"<html><head><title>Skyserver Error</title></head><body bgcolor=white><h2>An error occured</h2>"
            f"<H3 BGCOLOR=pink><font color=red>{message}<br></font></H3></BODY></HTML>"
        )
        return Reply(200, page.encode(), "text/html")
    body = {
        "ErrorCode": 500, "ErrorType": "InternalServerError", "ErrorMessage": message, "LogMessageID": "0",
        "LogTime": "2026-01-01T00:00:00",
    }  # fmt: skip
    return Reply(500, json.dumps(body).encode(), "application/json")
