"""One polite HTTP session for every service: bounded connections, paced requests, retries, and care with secrets.

It is built on `requests`, whose pool keeps connections alive and bounds their number. Added here: pacing over all
threads, retries that honour Retry-After, temporary faults told from final ones, no credential over plain http or
through a redirect.
"""

import logging
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from sanspec import __version__
from sanspec.config import Http
from sanspec.config.acquisition import LOOPBACK
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

RETRIED = {408, 425, 429, 500, 502, 503, 504}  # statuses that may be temporary
CONNECT_TIMEOUT = 10.0  # seconds
MIN_SPEED = 2000.0  # byte/s: a slower transfer is started again; no read timeout ends one that only trickles
BACKOFF_MAX = 300.0  # seconds: the longest wait of our own choosing
RETRY_AFTER_MAX = 3600.0  # seconds: the longest wait that a service may ask for; beyond it the run stops
_CHUNK = 1 << 15  # bytes read at a time: what a broken connection costs at most
_LOG_EVERY = 30.0  # seconds between log messages about retries
_NO_PROXY = {"http": None, "https": None, "all": None}

T = TypeVar("T")


class Transient(Exception):
    """A try failed, but a later one may succeed.

    retry_after: seconds that the service asks us to wait; unsent: the request never reached the service.
    """

    def __init__(self, reason: str, retry_after: float | None = None, unsent: bool = False):
        super().__init__(reason)
        self.retry_after, self.unsent = retry_after, unsent


class Refused(Exception):
    """The service's final answer is no; `status` is HTTP's, 0 where there was none."""

    def __init__(self, reason: str, status: int = 0):
        super().__init__(reason)
        self.status = status

    def explain(self, what: str) -> SanspecError:
        """The same for the user, with what to do about it."""
        return SanspecError(f"{what}: {self}; check acquire.services and the network, then run again")


class Stopped(Exception):
    """The run is being stopped, so a wait was cut short."""


@dataclass(frozen=True)
class Answer:
    """A complete answer: status, headers (any case) and body."""

    status: int
    headers: requests.structures.CaseInsensitiveDict
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Session:
    """One HTTP session for all threads of a run; use it as a context manager.

    `tally` counts requests and the reasons of retries; setting `stop` ends every wait.
    """

    def __init__(self, http: Http):
        self.http = http
        self.tally: Counter[str] = Counter()
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._next = self._closed_until = self._logged = 0.0
        self._next_of: dict[str, float] = defaultdict(float)  # of services that ask for an interval
        self._requests = requests.Session()
        self._requests.auth = lambda request: request  # adds nothing: no entry of ~/.netrc is ever sent
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
    def open(
        self, method: str, url: str, *, secret: bool = False, interval: float = 0.0, **options
    ) -> Iterator[requests.Response]:
        """One try of a request, with its body not yet read; `options` are those of `requests`.

        secret: the request carries a credential, so it uses https (except to this machine) and follows no redirect.
        interval: minimum time between requests to this address [s].
        Raises Transient, Refused, or SanspecError where the address or the certificate is at fault.
        """
        self._check(url, secret)
        self._await_turn(url, interval)
        local = {"proxies": _NO_PROXY} if urlsplit(url).hostname in LOOPBACK else {}
        timeout = (CONNECT_TIMEOUT, self.http.read_timeout)
        self.tally["requests"] += 1
        with (
            _classified(url),
            self._requests.request(
                method, url, stream=True, timeout=timeout, allow_redirects=not secret, **local, **options
            ) as response,
        ):
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
            raise SanspecError(f"acquire.services: {_host(url)} needs a credential: give its https address")
        if self.http.contact is None:
            raise SanspecError(
                f"acquire.http.contact is not set: {parts.hostname} asks robots to identify themselves; "
                "set it to your e-mail address"
            )

    def _judge(self, url: str, response: requests.Response) -> None:
        """Raises where status and headers alone show that the try failed. SanspecError: the wait would be too long."""
        if url.startswith("https:") and response.url.startswith("http:"):
            raise Refused(f"{_host(url)} redirects to plain http")
        seconds = parse_retry_after(response.headers.get("Retry-After"))
        if response.status_code in (429, 503) and seconds is not None:
            if seconds > RETRY_AFTER_MAX:
                raise SanspecError(
                    f"{_host(url)} asks us to come back in {seconds / 60:.0f} min, which is too long to wait: "
                    "run again later; everything received so far is kept"
                )
            raise Transient(f"HTTP {response.status_code}", seconds)

    def _await_turn(self, url: str, interval: float) -> None:
        """Wait until this request may be sent: the rate and any Retry-After hold for all threads together."""
        with self._lock:
            at = max(time.monotonic(), self._next, self._closed_until)
            if interval:
                at = max(at, self._next_of[url])
                self._next_of[url] = at + interval
            self._next = at + 1 / self.http.rate
        self.sleep(at - time.monotonic())
        with self._lock:  # a service may have sent Retry-After meanwhile
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
        """What `action` returns, tried again after each Transient with exponential back-off and jitter.

        repeatable: the action may be repeated even if the service has carried it out.
        Raises Refused with the last reason when all tries have failed; Transient where it must not try again.
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
                self._wait(fault, count)
        raise AssertionError("attempts is at least 1")

    def _wait(self, fault: Transient, count: int) -> None:
        """Wait after try `count`; where the service asked for it, all threads wait."""
        seconds = self.backoff(count) if fault.retry_after is None else fault.retry_after
        if count > 1 and time.monotonic() - self._logged > _LOG_EVERY:
            self._logged = time.monotonic()
            log.info("%s: try %d of %d in %.0f s", fault, count + 1, self.http.attempts, seconds)
        if fault.retry_after is None:
            self.sleep(seconds)
        else:
            with self._lock:
                self._closed_until = max(self._closed_until, time.monotonic() + seconds)

    def backoff(self, count: int) -> float:
        """Seconds to wait after try `count` (1, 2, ...)."""
        longest = min(self.http.backoff * 2 ** (count - 1), BACKOFF_MAX)
        return longest * random.uniform(0.5, 1.5)

    def call(
        self,
        method: str,
        url: str,
        read: Callable[[Answer], T] = lambda answer: answer,
        *,
        repeatable: bool = True,
        final: Callable[[Answer], bool] = lambda answer: False,
        **options,
    ) -> T:
        """What `read` makes of a complete answer, tried again where that may help; `options` are those of `open`.

        read: judges the status and returns a result; a Transient that it raises leads to another try.
        final: whether an answer with a status of RETRIED is final all the same.
        """

        def once() -> T:
            """One try."""
            with self.open(method, url, **options) as response:
                body = b"".join(self.chunks(response))
                answer = Answer(response.status_code, response.headers, body)
            if answer.status in RETRIED and not final(answer):
                raise Transient(f"HTTP {answer.status}")
            return read(answer)

        return self.retry(once, repeatable)

    def chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The body in pieces. Raises Transient where it ends before its Content-Length or is too slow."""
        begun, count = time.monotonic(), 0
        encoded = "Content-Encoding" in response.headers
        bodiless = encoded or response.request.method == "HEAD"
        announced = None if bodiless else response.headers.get("Content-Length")
        for chunk in response.iter_content(_CHUNK):
            count += len(chunk)
            yield chunk
            spent = time.monotonic() - begun
            if spent > self.http.read_timeout and count < spent * MIN_SPEED:
                raise Transient("too slow")
            if self.stop.is_set():
                raise Stopped("stopped")
        if announced is not None and announced.isdecimal() and count != int(announced):
            raise Transient("truncated body")


def parse_retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3: number or date); None without a valid one."""
    try:
        return float(Retry().parse_retry_after(text))
    except (InvalidHeader, ValueError, TypeError, OverflowError):
        return None


def _host(url: str) -> str:
    """Scheme and host of an address: messages show no more of it."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


@contextmanager
def _classified(url: str) -> Iterator[None]:
    """Exceptions of `requests` as Transient, Refused, or SanspecError where the user must act."""
    try:
        yield
    except requests.exceptions.SSLError as fault:
        if "CERTIFICATE_VERIFY_FAILED" not in str(fault):
            raise Transient("TLS connection broke") from None
        raise SanspecError(
            f"the certificate of {_host(url)} does not verify, so nothing was sent: check the clock, or "
            "name your site's certificates in REQUESTS_CA_BUNDLE"
        ) from None
    except requests.exceptions.ConnectTimeout:
        raise Transient(f"timeout while connecting to {_host(url)}", unsent=True) from None
    except requests.exceptions.Timeout:
        raise Transient("timeout") from None
    except requests.exceptions.ConnectionError as fault:
        timed_out = "Read timed out" in str(fault)
        refused = "NewConnectionError" in str(fault) or "NameResolutionError" in str(fault)
        away = f"cannot connect to {_host(url)}" if refused else "connection broke"
        reason = "timeout" if timed_out else away
        raise Transient(reason, unsent=refused) from None
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise Transient("truncated body") from None
    except requests.exceptions.RequestException as fault:
        raise Refused(f"{type(fault).__name__}") from None
