"""One polite HTTP session for every service: bounded, paced, patient, and safe with secrets.

It stands on `requests`: the chain has it already, its pool keeps connections alive and bounds them, and four
threads that wait on the network need no event loop. What `requests` leaves out is added here: pacing over all
threads, retries that honour Retry-After, faults told apart, no secret over plain http or through a redirect.
"""

import logging
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from sanspec import __version__
from sanspec.config import Http
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

RETRIED = {408, 425, 429, 500, 502, 503, 504}  # statuses that a later try may cure
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PIECE = 1 << 15  # bytes read at a time: what a broken connection costs at most
_TELL = 30.0  # seconds between messages that something is tried again
_NO_PROXY = {"http": None, "https": None, "all": None}

T = TypeVar("T")


class Transient(Exception):
    """A try failed in a way that a later one may not.

    retry_after: seconds that the service asks for; unsent: the service never saw the request.
    """

    def __init__(self, reason: str, retry_after: float | None = None, unsent: bool = False):
        super().__init__(reason)
        self.retry_after, self.unsent = retry_after, unsent


class Refused(Exception):
    """The service answered, and no later try will change it; `status` is HTTP's, 0 where there was none."""

    def __init__(self, reason: str, status: int = 0):
        super().__init__(reason)
        self.status = status


class Stopped(Exception):
    """The run is being stopped: a wait was broken off."""


@dataclass(frozen=True)
class Answer:
    """A whole answer: status, headers (any case) and body."""

    status: int
    headers: requests.structures.CaseInsensitiveDict
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Session:
    """A session for all threads of a run; use it as a context manager.

    `tally` counts requests and the reasons of retries; `stop` ends every wait when it is set.
    """

    def __init__(self, http: Http):
        self.http = http
        self.tally: Counter[str] = Counter()
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._next = self._closed_until = self._told = 0.0
        self._requests = requests.Session()
        self._requests.auth = _nobody
        adapter = HTTPAdapter(pool_connections=8, pool_maxsize=http.connections, pool_block=True)
        self._requests.mount("https://", adapter)
        self._requests.mount("http://", adapter)
        self._requests.headers["User-Agent"] = f"sanspec/{__version__} (mailto:{http.contact or 'unset'})"

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_) -> None:
        self._requests.close()

    # ------------------------------------------------------------------------------------------------ one try

    @contextmanager
    def open(self, method: str, url: str, *, secret: bool = False, **options) -> Iterator[requests.Response]:
        """One try of a request, its body not yet read; `options` are those of `requests`.

        secret: the request carries a credential: https alone (but for this machine), no redirect.
        Raises Transient, Refused, or SanspecError where the address or the certificate is at fault.
        """
        self._check(url, secret)
        self._await_turn()
        local = {"proxies": _NO_PROXY} if urlsplit(url).hostname in LOOPBACK else {}
        timeout = (self.http.connect_timeout, self.http.read_timeout)
        self.tally["requests"] += 1
        with _told_apart(url):
            response = self._requests.request(
                method, url, stream=True, timeout=timeout, allow_redirects=not secret, **local, **options
            )
            with response:
                self._judge(url, response)
                yield response

    def _check(self, url: str, secret: bool) -> None:
        """Raises SanspecError where a request to `url` must not be made."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SanspecError(f"acquire.services: {url!r} is not an http(s) address")
        if parts.hostname in LOOPBACK:
            return
        if secret and parts.scheme != "https":
            raise SanspecError(
                f"acquire.services: {_place(url)} is asked for a credential: use its https address"
            )
        if self.http.contact is None:
            raise SanspecError(
                f"acquire.http.contact is not set: {parts.hostname} asks robots to say who they are; "
                "set your e-mail address"
            )

    def _judge(self, url: str, response: requests.Response) -> None:
        """Raises where the status alone says that the try failed."""
        if url.startswith("https:") and response.url.startswith("http:"):
            raise Refused(f"{_place(url)} redirects to plain http")
        asked = parse_retry_after(response.headers.get("Retry-After"))
        if response.status_code in (429, 503) and asked is not None:
            self._close_until(asked, url)
            raise Transient(f"HTTP {response.status_code}", asked)

    def _close_until(self, seconds: float, url: str) -> None:
        """Hold every thread back: the service asked for it. Raises SanspecError beyond our patience."""
        if seconds > self.http.retry_after_max:
            raise SanspecError(
                f"{_place(url)} asks us to come back in {seconds / 60:.0f} min, longer than "
                f"acquire.http.retry_after_max ({self.http.retry_after_max:.0f} s): run again later; what "
                "has arrived is kept"
            )
        with self._lock:
            self._closed_until = max(self._closed_until, time.monotonic() + seconds)

    def _await_turn(self) -> None:
        """Wait for this request's place in the queue that all threads share."""
        with self._lock:
            at = max(time.monotonic(), self._next, self._closed_until)
            self._next = at + 1 / self.http.rate
        self.sleep(at - time.monotonic())
        with self._lock:  # a service may have asked for peace meanwhile
            late = self._closed_until - time.monotonic()
        self.sleep(late)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is stopped. Raises Stopped."""
        if seconds > 0:
            self.stop.wait(seconds)
        if self.stop.is_set():
            raise Stopped("stopped")

    # --------------------------------------------------------------------------------------------- many tries

    def retry(self, action: Callable[[], T], repeatable: bool = True) -> T:
        """What `action` gives, tried again after each Transient with exponential back-off and jitter.

        repeatable: trying again does no harm where the service may have acted on the first try.
        Raises Refused with the last reason when the tries are used up.
        """
        for count in range(1, self.http.attempts + 1):
            try:
                return action()
            except Transient as fault:
                self.tally[f"retry: {fault}"] += 1
                if not (repeatable or fault.unsent or fault.retry_after is not None):
                    raise
                if count == self.http.attempts:
                    raise Refused(f"{fault} ({count} tries)") from None
                wait = self.backoff(count) if fault.retry_after is None else 0.0
                self._tell(fault, count, wait or fault.retry_after or 0.0)
                self.sleep(wait)
        raise AssertionError("attempts is at least 1")

    def _tell(self, fault: Transient, count: int, wait: float) -> None:
        """Say that something is waited for: from the second try on, now and then, as others may be waiting too."""
        if count > 1 and time.monotonic() - self._told > _TELL:
            self._told = time.monotonic()
            log.info("%s: try %d of %d in %.0f s", fault, count + 1, self.http.attempts, wait)

    def backoff(self, count: int) -> float:
        """Seconds to wait after try `count` (1, 2, ...)."""
        longest = min(self.http.backoff * 2 ** (count - 1), self.http.backoff_max)
        return longest * random.uniform(0.5, 1.5)

    def call(
        self,
        method: str,
        url: str,
        *,
        repeatable: bool = True,
        final: Callable[[Answer], bool] = lambda answer: False,
        secret: bool = False,
        **options,
    ) -> Answer:
        """A whole answer, tried again where that may help; other statuses than 200 are the caller's to judge.

        final: says of an answer with a status of RETRIED that it is the service's last word all the same.
        """

        def once() -> Answer:
            """One try."""
            with self.open(method, url, secret=secret, **options) as response:
                answer = Answer(response.status_code, response.headers, self.read(response))
            if answer.status in RETRIED and not final(answer):
                raise Transient(f"HTTP {answer.status}")
            return answer

        return self.retry(once, repeatable)

    def read(self, response: requests.Response) -> bytes:
        """The body of a response, whole. Raises Transient where it breaks off or drips."""
        return b"".join(self.chunks(response))

    def chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The body in pieces. Raises Transient where it ends before its Content-Length or drips."""
        begun, count = time.monotonic(), 0
        encoded = "Content-Encoding" in response.headers
        bodiless = encoded or response.request.method == "HEAD"
        announced = None if bodiless else response.headers.get("Content-Length")
        for chunk in response.iter_content(_PIECE):
            count += len(chunk)
            yield chunk
            spent = time.monotonic() - begun
            if spent > self.http.read_timeout and count < spent * self.http.least_speed:
                raise Transient("too slow")
            if self.stop.is_set():
                raise Stopped("stopped")
        if announced is not None and announced.isdecimal() and count != int(announced):
            raise Transient("truncated body")


def parse_retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3: number or date); None without one."""
    if text is None:
        return None
    if re.fullmatch(r"[ \t]*[0-9]{1,9}[ \t]*", text):
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authentication that adds nothing, so that no entry of ~/.netrc is sent to anyone."""
    return request


def _place(url: str) -> str:
    """Scheme and host of an address: what a message may say of it."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


@contextmanager
def _told_apart(url: str) -> Iterator[None]:
    """Faults of `requests` as ours: Transient, or SanspecError for what no later try can cure."""
    try:
        yield
    except requests.exceptions.SSLError as fault:
        if "CERTIFICATE_VERIFY_FAILED" not in str(fault):
            raise Transient("TLS connection broke") from None
        raise SanspecError(
            f"the certificate of {_place(url)} does not verify: nothing was sent; check the clock, or "
            "name your site's certificates in REQUESTS_CA_BUNDLE"
        ) from None
    except requests.exceptions.ConnectTimeout:
        raise Transient(f"timeout while connecting to {_place(url)}", unsent=True) from None
    except requests.exceptions.Timeout:
        raise Transient("timeout") from None
    except requests.exceptions.ConnectionError as fault:
        timed_out = "Read timed out" in str(fault)
        refused = "NewConnectionError" in str(fault) or "NameResolutionError" in str(fault)
        away = f"cannot connect to {_place(url)}" if refused else "connection broke"
        reason = "timeout" if timed_out else away
        raise Transient(reason, unsent=refused) from None
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise Transient("truncated body") from None
    except requests.exceptions.RequestException as fault:
        raise Refused(f"{type(fault).__name__}") from None
