"""The HTTP server of the loopback SDSS: routes, Range and ETag, faults, and a log of requests."""

import hashlib
import io
import json
import re
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from loopback.faults import Faults

HTML = (
    b"<html><head><title>SDSS</title></head><body><h1>The archive is down for maintenance</h1>"
    b"<p>Please try again later.</p></body></html>\n"
)
THROTTLE = (
    b'#Table1\nerror_message\n"ERROR: Maximum 60 queries allowed per minute. Rejected query: SELECT ..."\n'
)
_STATUSES = {"429": "Too Many Requests", "503": "Service Unavailable", "500": "Internal Server Error"}


@dataclass
class Request:
    """A request, as a route sees it."""

    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    match: re.Match
    base: str


@dataclass
class Reply:
    """A route's answer; `file` instead of `body` where it is read from disk."""

    status: int = 200
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    file: Path | None = None

    @classmethod
    def json(cls, value, status: int = 200, **headers: str) -> "Reply":
        """A JSON reply."""
        return cls(status, json.dumps(value).encode(), "application/json", headers)

    @classmethod
    def html(cls, text: str = "<html><h1>404 Not Found</h1></html>", status: int = 404) -> "Reply":
        """A web page."""
        return cls(status, text.encode(), "text/html")

    def content(self, first: int = 0, last: int | None = None) -> bytes:
        """The body's bytes in [first, last)."""
        if self.file is None:
            return self.body[first:last]
        with self.file.open("rb") as file:
            file.seek(first)
            return file.read() if last is None else file.read(last - first)

    def size(self) -> int:
        """Length of the body."""
        return len(self.body) if self.file is None else self.file.stat().st_size


@dataclass(frozen=True)
class Route:
    """Requests of one kind: their method and path, the name that faults refer to, and the function that answers."""

    name: str
    method: str
    pattern: str
    answer: Callable[[Request], Reply]


UNAUTHORISED = Reply.json({"error": "Unauthorized", "Error Message": "Token is not valid"}, 401)
NO_JOB = Reply.json({"Error Code": 404, "Error Message": "Job not found"}, 404)
_REPLIES = {  # faults that replace the reply
    "404": Reply.html(),
    "401": UNAUTHORISED,
    "lost_job": NO_JOB,
    "html": Reply(200, HTML, "text/html"),
    "throttle": Reply(200, THROTTLE),
}


class Loopback:
    """The server, only on 127.0.0.1: `routes` answer, `faults` interfere, `requests` lists what was asked."""

    def __init__(
        self, routes: list[Route], faults: Faults | None = None, port: int = 0, latency: float = 0.0
    ):
        self.routes = [(route, re.compile(route.pattern)) for route in routes]
        self.faults = faults or Faults()
        self.latency, self.hang, self.retry_after = latency, 3.0, 1
        self.altered: dict[str, Callable[[bytes, str], bytes]] = {}
        self.log: Path | None = None
        self._records: deque[dict] = deque(maxlen=500_000)
        self._answering = 0
        self._idle = threading.Condition()
        handler = type("Handler", (_Handler,), {"loopback": self})
        self._http = _Server(("127.0.0.1", port), handler)
        self.base = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "Loopback":
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._http.shutdown()
        self._http.server_close()

    def serve(self) -> None:
        """Answer until the process is stopped."""
        self._http.serve_forever()

    def find(self, method: str, path: str) -> tuple[Route, re.Match] | None:
        """The route of a request; HEAD goes where GET goes."""
        method = "GET" if method == "HEAD" else method
        for route, pattern in self.routes:
            if route.method == method and (match := pattern.fullmatch(path)):
                return route, match
        return None

    @property
    def asked(self) -> int:
        """Number of requests so far, including those being answered."""
        return len(self._records) + self._answering

    @property
    def requests(self) -> list[dict]:
        """Every request so far, once those being answered are finished (or have taken 3 s)."""
        with self._idle:
            self._idle.wait_for(lambda: self._answering == 0, timeout=3.0)
            return list(self._records)

    @contextmanager
    def recorded(self, record: dict) -> Iterator[None]:
        """Record a request in memory and, when it is answered, in the log."""
        with self._idle:
            self._answering += 1
        try:
            yield
        finally:
            with self._idle:
                self._answering -= 1
                self._records.append(record)
                if self.log is not None:
                    with self.log.open("a") as file:
                        file.write(json.dumps(record) + "\n")
                self._idle.notify_all()


class _Server(ThreadingHTTPServer):
    """One thread per connection."""

    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """A client may disconnect; any other exception is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    loopback: Loopback
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120

    def log_message(self, *_) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        """Answer a request of any method."""
        parts = urlsplit(self.path)
        record = {
            "time": time.time(), "method": self.command, "path": self.path, "client": self.client_address[1],
            "agent": self.headers.get("User-Agent", ""), "range": self.headers.get("Range", ""),
        }  # fmt: skip
        with self.loopback.recorded(record):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = self.loopback.find(self.command, parts.path)
            fault = self.loopback.faults.draw(found[0].name, self.path) if found else None
            record |= {"route": found[0].name if found else "", "fault": fault, "status": 0, "bytes": 0}
            time.sleep(self.loopback.latency)
            record["status"], record["bytes"] = self._answer(found, parts, body, fault)
            record["seconds"] = time.time() - record["time"]

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self, found, parts, body: bytes, fault: str | None) -> tuple[int, int]:
        """Send a reply, or what the fault makes of it; its status and the bytes sent."""
        if found is None:
            return self._send(Reply.html())
        if fault == "hang":
            return self._hang()
        if fault == "reset":
            return self._reset()
        if fault in _STATUSES:
            asked = {} if fault == "500" else {"Retry-After": str(self.loopback.retry_after)}
            page = f"<html><h1>{fault} {_STATUSES[fault]}</h1></html>".encode()
            return self._send(Reply(int(fault), page, "text/html", asked))
        if fault in _REPLIES:
            return self._send(_REPLIES[fault])
        route, match = found
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = dict(self.headers.items())
        reply = route.answer(Request(query, headers, body, match, self.loopback.base))
        if fault in self.loopback.altered and reply.status == 200:
            content = self.loopback.altered[fault](reply.content(), parts.path)
            reply = Reply(200, content, reply.kind, reply.headers)
        return self._send(reply, fault)

    def _send(self, reply: Reply, fault: str | None = None) -> tuple[int, int]:
        """Send a reply; the fault may cut its body short or hold it back."""
        size, first = reply.size(), 0
        etag = f'"{hashlib.sha256(f"{reply.file}{size}".encode()).hexdigest()[:16]}"' if reply.file else None
        status = reply.status
        headers = dict(reply.headers)
        if etag and status == 200:
            headers |= {"ETag": etag, "Accept-Ranges": "bytes", "Last-Modified": formatdate(0, usegmt=True)}
            first = self._range_start(etag)
            if first >= size > 0:
                return self._send(Reply(416, b"", headers={"Content-Range": f"bytes */{size}"}))
            if first:
                status = 206
                headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
        length = size - first
        if fault == "short":
            length //= 2
        self.send_response(status)
        for name, value in ({"Content-Type": reply.kind, "Content-Length": str(length)} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        return status, 0 if self.command == "HEAD" else self._send_body(reply, first, length, fault)

    def _range_start(self, etag: str) -> int:
        """First byte requested, if the Range refers to the file as it is now."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked and self.headers.get("If-Range", etag) == etag else 0

    def _send_body(self, reply: Reply, first: int, length: int, fault: str | None) -> int:
        """Write the body in pieces; the number of bytes written."""
        broken = fault in ("truncated", "hang_body")
        end = first + (length // 2 if broken else length)
        sent = 0
        try:
            while first + sent < end:
                piece = reply.content(first + sent, min(first + sent + (1 << 20), end))
                self.wfile.write(piece)
                sent += len(piece)
            if fault == "hang_body":
                self._hang()
            self.close_connection = self.close_connection or broken
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        return sent

    def _hang(self) -> tuple[int, int]:
        """Send nothing until the client disconnects or the time is up."""
        self.connection.settimeout(self.loopback.hang)
        with suppress(OSError):
            self.connection.recv(1)
        self.close_connection = True
        return 0, 0

    def _reset(self) -> tuple[int, int]:
        """Break the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        self.wfile = io.BytesIO()  # what is still written goes nowhere
        return 0, 0
