"""SkyServer's anonymous SQL, at its present and its older address."""

import threading
import time
from collections import deque

from loopback.server import Reply, Request, Route
from loopback.tsql import Database, SqlFault

MAX_QUERY_STRING = 2048  # ASP.NET's
TOO_LONG = (
    "<html><body><h1>Bad Request - Invalid URL</h1><p>The length of the query string for this request "
    "exceeds the configured maxQueryStringLength value.</p></body></html>"
)
ERROR = (
    "<html><head><title>Skyserver Error</title></head><body bgcolor=white><h2>An error occured</h2>"
    "<H3 BGCOLOR=pink><font color=red>{}<br></font></H3></BODY></HTML>"
)


class SkyServer:
    """Anonymous SQL: at most `per_minute` queries per minute and `rows` rows per answer."""

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
        """The answer to the query `cmd`."""
        wanted = {name.lower(): value for name, value in request.query.items()}
        text, form = wanted.get("cmd", ""), wanted.get("format", "csv").lower()
        if len(text) > MAX_QUERY_STRING:
            return Reply.html(TOO_LONG, 400)
        if self._throttled():
            words = f"Maximum {self.per_minute} queries allowed per minute. Rejected query: {text[:60]}"
            return Reply(200, f'#Table1\nerror_message\n"ERROR: {words}"\n'.encode())
        try:
            answer = self.database.run(text, limit=self.rows)
        except SqlFault as fault:
            if form == "html":  # then with status 200
                return Reply.html(ERROR.format(fault), 200)
            words = {"ErrorCode": 500, "ErrorType": "InternalServerError", "ErrorMessage": str(fault)}
            return Reply.json(words | {"LogMessageID": "0", "LogTime": "2026-01-01T00:00:00"}, 500)
        if form == "json":
            rows = [dict(zip(answer.columns, row)) for row in answer.rows]
            return Reply.json([{"TableName": "Table1", "Rows": rows}])
        return Reply(200, answer.csv("#Table1\n").encode())

    def _throttled(self) -> bool:
        """Whether this query exceeds the limit per minute."""
        with self._lock:
            now = time.monotonic()
            while self._times and now - self._times[0] > 60:
                self._times.popleft()
            if len(self._times) >= self.per_minute:
                return True
            self._times.append(now)
            return False
